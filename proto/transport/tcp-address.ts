import { isIPv4, isIPv6 } from 'node:net'
import type { Address } from '../ids.ts'

const clientPrefix = 'client:'
const lengthMax = 255
const printable = /^[\x21-\x7e]+$/
const hostAndPort = /^(?:\[([^[\]]+)\]|([^:[\]]+)):(\d{1,5})$/

export interface HostPort {
  readonly host: string
  readonly port: number
}

/** Host and port of an address that can be dialled: `host:port`, or `[IPv6]:port`. */
export function parseHostPort(text: string): HostPort | undefined {
  if (text.startsWith(clientPrefix)) return undefined
  const [, inBrackets, plain, digits] = hostAndPort.exec(text) ?? []
  const host = inBrackets !== undefined && isIPv6(inBrackets) ? inBrackets : plain
  const port = Number(digits)
  return host === undefined || port < 1 || port > 65_535 ? undefined : { host, port }
}

export function formatHostPort(host: string, port: number): string {
  return isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`
}

/** The address of an endpoint that only dials: it is reached through its own connections, or not at all. */
export function clientAddress(name: string): string {
  return `${clientPrefix}${name}`
}

/** Whether this is the address of an endpoint that only dials. */
export function isClientAddress(text: string): boolean {
  return text.startsWith(clientPrefix)
}

/** Whether an endpoint may call itself so: printable, not too long, a server's or a client's form. */
export function isTcpAddress(text: string): text is Address {
  if (text.length > lengthMax || !printable.test(text)) return false
  return text.startsWith(clientPrefix) ? text.length > clientPrefix.length : parseHostPort(text) !== undefined
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'))
}

/** Whether this stands for every address of a machine: something to listen on, and nothing that others can reach. */
export function isWildcard(host: string): boolean {
  return host === '0' || host === '0.0.0.0' || (isIPv6(host) && /^[0:]+(?:0\.0\.0\.0)?$/.test(host))
}
