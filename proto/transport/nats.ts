import { EpochcastError } from '../errors.ts'
import type { Address } from '../ids.ts'
import { NatsEndpoint } from './nats-endpoint.ts'
import { type NatsConnection, openNats } from './nats-link.ts'
import { defaultPrefix, type NatsOptions } from './nats-options.ts'
import { isNatsClient, isNatsServer, natsClientAddress, natsServerAddress, Subjects } from './nats-subjects.ts'
import { type Transport, type TransportHandler, type TransportLimits, transportLimits } from './port.ts'

interface NatsEndpointOptions {
  readonly nats: NatsOptions
  readonly limits?: Partial<TransportLimits>
  readonly handler: TransportHandler
}

export interface NatsListenOptions extends NatsEndpointOptions {
  /** Id of this server: its address is `nats/<id>`. */
  readonly id: string
}

export interface NatsDialOptions extends NatsEndpointOptions {
  /** Name of this client, different from every other's: its address is `client:<name>`. */
  readonly name: string
}

const probeTimeoutMs = 1_000

/**
 * A server: listens to a subject of its own, and with all others to the one that reaches any server.
 * @throws EpochcastError `EC_UNREACHABLE` when NATS does not answer, `EC_BAD_ARGUMENT` when it refuses, or when another process
 *   listens at this address
 */
export function listenNats({ id, ...options }: NatsListenOptions): Promise<Transport> {
  const address = natsServerAddress(id)
  if (!isNatsServer(address)) throw badName(id)
  return attach(address, options, true)
}

/**
 * A client.
 * @throws EpochcastError `EC_UNREACHABLE` when NATS does not answer, `EC_BAD_ARGUMENT` when it refuses
 */
export function dialNats({ name, ...options }: NatsDialOptions): Promise<Transport> {
  const address = natsClientAddress(name)
  if (!isNatsClient(address)) throw badName(name)
  return attach(address, options, false)
}

/** A connection to NATS for one client that cannot wait for it itself. */
export class NatsDialer {
  readonly #connection: NatsConnection
  readonly #prefix: string
  #opening: Promise<void> = Promise.resolve()

  private constructor(connection: NatsConnection, prefix: string) {
    this.#connection = connection
    this.#prefix = prefix
  }

  /** @throws EpochcastError `EC_UNREACHABLE` when NATS does not answer in time, `EC_BAD_ARGUMENT` when it refuses */
  static async connect(nats: NatsOptions, timeoutMs: number): Promise<NatsDialer> {
    return new NatsDialer(await openNats({ ...nats, timeoutMs }), nats.prefix ?? defaultPrefix)
  }

  /** The client's endpoint; once. */
  dial(name: string, handler: TransportHandler): Transport {
    const endpoint = new NatsEndpoint(
      natsClientAddress(name),
      this.#connection,
      new Subjects(this.#prefix),
      transportLimits,
      handler,
    )
    this.#opening = endpoint.open()
    this.#opening.catch(() => {})
    return endpoint
  }

  /** @throws EpochcastError `EC_BAD_ARGUMENT` when NATS does not let the client listen */
  opened(): Promise<void> {
    return this.#opening
  }
}

async function attach(address: Address, options: NatsEndpointOptions, isAlone: boolean): Promise<Transport> {
  const { nats, handler } = options
  const limits = { ...transportLimits, ...options.limits }
  const connection = await openNats({ ...nats, name: address, timeoutMs: limits.handshakeTimeoutMs })
  const endpoint = new NatsEndpoint(address, connection, new Subjects(nats.prefix ?? defaultPrefix), limits, handler)
  try {
    if (isAlone && (await endpoint.isTaken(probeTimeoutMs))) {
      throw new EpochcastError('EC_BAD_ARGUMENT', `another process listens at ${address} on this NATS`, {
        hint: 'stop it, or give one of the clusters that share this NATS a prefix of its own',
      })
    }
    await endpoint.open()
    return endpoint
  } catch (error) {
    await connection.close()
    throw error
  }
}

function badName(name: string): EpochcastError {
  const text = `${JSON.stringify(name.slice(0, 80))} is no name that NATS takes: letters, digits, "-" and "_"`
  return new EpochcastError('EC_BAD_ARGUMENT', text)
}
