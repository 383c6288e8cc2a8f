/** One connection to NATS: credentials, patience, and errors by name. Nobody else calls the NATS client's `connect`. */
import { readFile } from 'node:fs/promises'
import {
  AuthorizationError,
  type ConnectionOptions,
  connect,
  credsAuthenticator,
  type NatsConnection,
  nkeyAuthenticator,
  UserAuthenticationExpiredError,
} from '@nats-io/transport-node'
import { EpochcastError } from '../errors.ts'
import { checkNatsOptions, type NatsOptions } from './nats-options.ts'

export type { Msg, NatsConnection } from '@nats-io/transport-node'

export interface NatsLinkOptions extends NatsOptions {
  /** What NATS shows of this connection. */
  readonly name?: string
  /** Milliseconds for the first connection. */
  readonly timeoutMs?: number
}

const defaultTimeoutMs = 5_000
const reconnectTimeMs = 100
const reconnectJitterMs = 100
const pingIntervalMs = 2_000
const pingsOutMax = 2

/**
 * Connects, and from then on reconnects for ever.
 * @throws EpochcastError `EC_UNREACHABLE` (retryable), `EC_BAD_ARGUMENT` for credentials that NATS refuses or that cannot be read
 */
export async function openNats(options: NatsLinkOptions): Promise<NatsConnection> {
  const checked = checkNatsOptions(options)
  const { timeoutMs = defaultTimeoutMs, name = 'epochcast' } = options
  const given = await credentialsOf(checked)
  try {
    return await connect({
      ...given,
      servers: [...checked.servers],
      name,
      timeout: timeoutMs,
      pingInterval: pingIntervalMs,
      maxPingOut: pingsOutMax,
      reconnectTimeWait: reconnectTimeMs,
      reconnectJitter: reconnectJitterMs,
      reconnectJitterTLS: reconnectJitterMs,
      maxReconnectAttempts: -1,
      // A server that is being reconfigured may refuse for a moment: that must not end a broker.
      ignoreAuthErrorAbort: true,
    })
  } catch (error) {
    throw refusalOf(error, checked)
  }
}

async function credentialsOf({ user, password, token, creds, nkey, tls }: NatsOptions): Promise<ConnectionOptions> {
  const { ca, cert, key } = tls ?? {}
  const files = {
    ...(ca !== undefined && { ca: (await read('ca', ca)).toString() }),
    ...(cert !== undefined && { cert: (await read('cert', cert)).toString() }),
    ...(key !== undefined && { key: (await read('key', key)).toString() }),
  }
  return {
    ...(user !== undefined && { user, pass: password ?? '' }),
    ...(token !== undefined && { token }),
    ...(creds !== undefined && { authenticator: credsAuthenticator(await read('creds', creds)) }),
    ...(nkey !== undefined && { authenticator: nkeyAuthenticator(trimmed(await read('nkey', nkey))) }),
    ...(tls !== undefined && { tls: files }),
  }
}

async function read(what: string, path: string): Promise<Buffer> {
  try {
    return await readFile(path)
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? String(error)
    throw new EpochcastError('EC_BAD_ARGUMENT', `the NATS ${what} file ${path} cannot be read: ${code}`, {
      cause: error,
    })
  }
}

function trimmed(bytes: Buffer): Uint8Array {
  return Buffer.from(bytes.toString().trim())
}

function refusalOf(error: unknown, { servers, tls }: NatsOptions): EpochcastError {
  const reason = error instanceof Error ? error.message : String(error)
  const at = servers.join(', ')
  if (error instanceof AuthorizationError || error instanceof UserAuthenticationExpiredError) {
    const hint = 'say user and password, token, creds or nkey'
    return new EpochcastError('EC_BAD_ARGUMENT', `NATS at ${at} refuses these credentials`, { hint, cause: error })
  }
  const isTls = tls !== undefined || /tls|certificate|self[- ]signed|ssl/i.test(reason)
  const hint = isTls
    ? 'say tls with the ca that signed its certificate, and cert and key where it asks for one; without TLS there, leave it out'
    : 'start it (nats-server), or say where it is'
  return new EpochcastError('EC_UNREACHABLE', `no NATS server answers at ${at}: ${reason}`, { hint, cause: error })
}
