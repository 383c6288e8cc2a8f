import { type AddressInfo, createServer, type Server } from 'node:net'
import { EpochcastError } from '../errors.ts'
import type { Address } from '../ids.ts'
import { type Transport, type TransportHandler, type TransportLimits, transportLimits } from './port.ts'
import { clientAddress, formatHostPort, isLoopback, isTcpAddress, isWildcard, parseHostPort } from './tcp-address.ts'
import { socketOptions, TcpEndpoint } from './tcp-endpoint.ts'

export interface TcpTransport extends Transport {
  /** Connections closed for what the other side sent, or because its hello did not come in time. */
  readonly connectionsRefused: number
}

export interface TcpDialOptions {
  /** Name of this client, different from every other's: its address is `client:<name>`. */
  readonly name: string
  readonly limits?: Partial<TransportLimits>
  readonly handler: TransportHandler
}

/** Where a server listens on TCP, and where others reach it. */
export interface ListenPlace {
  readonly host: string
  /** 0 picks a free port. */
  readonly port: number
  /** Where others reach this endpoint, `host:port` or `host` alone, when that is not where it listens. */
  readonly advertise?: string
  /** Listens beyond loopback although nothing is encrypted and nobody is authenticated. */
  readonly insecure?: boolean
}

export interface TcpListenOptions extends ListenPlace {
  readonly limits?: Partial<TransportLimits>
  readonly handler: TransportHandler
}

/**
 * A server: takes connections, and dials other servers on the first frame for them.
 * @throws EpochcastError `EC_BAD_ARGUMENT` when it may not or cannot listen there
 */
export async function listenTcp(options: TcpListenOptions): Promise<TcpTransport> {
  checkListen(options)
  const server = createServer({ ...socketOptions, pauseOnConnect: true })
  await listening(server, options)
  const { port } = server.address() as AddressInfo
  const endpoint = new TcpEndpoint(
    advertised(options, port),
    { ...transportLimits, ...options.limits },
    options.handler,
    () => new Promise((resolve) => server.close(() => resolve())),
  )
  server.on('connection', (socket) => endpoint.accept(socket))
  // Accepting fails where other processes have used up the descriptors of the machine; the connections that exist go on.
  server.on('error', () => {})
  return endpoint
}

/**
 * A client: has no listener, and dials servers on the first frame for them.
 * @throws EpochcastError `EC_BAD_ARGUMENT` for a name that is empty, too long or not printable ASCII
 */
export function dialTcp(options: TcpDialOptions): TcpTransport {
  const address = checkedAddress(clientAddress(options.name))
  return new TcpEndpoint(address, { ...transportLimits, ...options.limits }, options.handler)
}

/** Everything that can be known before a port is taken. @throws EpochcastError `EC_BAD_ARGUMENT` when it may not listen there */
export function checkListen(options: ListenPlace): void {
  const { host, port } = options
  if (!Number.isInteger(port) || port < 0 || port > 65_535) throw bad(`port ${port} is not a number from 0 to 65535`)
  if (!isLoopback(host) && options.insecure !== true) {
    throw bad(
      `refused to listen on ${JSON.stringify(host)}: beyond loopback everyone who reaches it could read and write`,
      'Listen on 127.0.0.1, or pass insecure: true where the network itself keeps strangers out.',
    )
  }
  const reached = reachedHost(options)
  if (isWildcard(reached)) {
    throw bad(`${reached} is no address that others can reach`, 'Pass advertise: the host name under which they do.')
  }
  // Any port shows whether the form is right.
  advertised(options, port === 0 ? 1 : port)
}

/** The host under which others are told to come. */
function reachedHost({ host, advertise }: ListenPlace): string {
  return advertise === undefined ? host : (parseHostPort(advertise)?.host ?? advertise)
}

function advertised(options: ListenPlace, port: number): Address {
  const given = options.advertise ?? options.host
  return checkedAddress(parseHostPort(given) === undefined ? formatHostPort(given, port) : given)
}

function listening(server: Server, { host, port }: TcpListenOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    const failed = (error: NodeJS.ErrnoException): void => {
      const inUse = error.code === 'EADDRINUSE'
      const why = inUse ? 'another process listens there' : (error.code ?? error.message)
      const hint = inUse ? 'Stop that process, or choose another port; port 0 picks a free one.' : undefined
      reject(bad(`cannot listen on ${formatHostPort(host, port)}: ${why}`, hint, error))
    }
    server.once('error', failed)
    server.listen({ host, port, exclusive: true }, () => {
      server.off('error', failed)
      resolve()
    })
  })
}

function checkedAddress(text: string): Address {
  if (isTcpAddress(text)) return text
  throw bad(`${JSON.stringify(text.slice(0, 80))} is not an address of at most 255 printable ASCII characters`)
}

function bad(message: string, hint?: string, cause?: unknown): EpochcastError {
  return new EpochcastError('EC_BAD_ARGUMENT', message, { ...(hint === undefined ? {} : { hint }), cause })
}
