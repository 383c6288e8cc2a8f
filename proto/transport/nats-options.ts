/** How a NATS server is reached, and what a `nats://` url says about it. Nothing here needs the NATS client itself. */
import { EpochcastError } from '../errors.ts'

export interface NatsTls {
  /** Paths of PEM files. */
  readonly ca?: string
  readonly cert?: string
  readonly key?: string
}

/** How to reach NATS. At most one kind of credentials: user and password, token, creds file or nkey file. */
export interface NatsOptions {
  /** `host:port`; others of the cluster are learnt from the server. */
  readonly servers: readonly string[]
  readonly user?: string
  readonly password?: string
  readonly token?: string
  /** Path of a `.creds` file: a JWT and its seed. */
  readonly creds?: string
  /** Path of a file with an nkey seed. */
  readonly nkey?: string
  /** Encrypts, and refuses a server that does not; `{}` trusts what the system trusts. */
  readonly tls?: NatsTls
  /** First part of every subject; clusters that share a NATS account need different ones. Default `epochcast`. */
  readonly prefix?: string
}

export const defaultNatsUrl = 'nats://127.0.0.1:4222'
export const defaultPrefix = 'epochcast'
const defaultPort = 4222
const prefixPattern = /^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/
const prefixLengthMax = 64
const serverPattern = /^(\[[0-9a-fA-F:]+\]|[^:[\]@/?#\s]+)(?::(\d{1,5}))?$/
const fileKeys = ['creds', 'nkey'] as const
const tlsKeys = ['ca', 'cert', 'key'] as const

export function isNatsUrl(url: string): boolean {
  return /^(nats|tls):\/\//.test(url)
}

/**
 * Reads `nats://[user:password@]host:port[,host:port…][?prefix=…&creds=FILE&nkey=FILE&ca=FILE&cert=FILE&key=FILE]`; one word
 * before the @ is a token, `tls://` encrypts.
 * @throws EpochcastError `EC_BAD_ARGUMENT`, without showing a password
 */
export function parseNatsUrl(url: string): NatsOptions {
  const match = /^(nats|tls):\/\/(?:([^@/?#]*)@)?([^@/?#]+)\/?(?:\?([^#]*))?$/.exec(url)
  if (match === null) throw bad('this is not a nats:// url', `e.g. ${defaultNatsUrl}`)
  const [, scheme, login, hosts = '', query = ''] = match
  const files: Partial<Record<(typeof fileKeys)[number], string>> = {}
  const tls: Partial<Record<(typeof tlsKeys)[number], string>> = {}
  let prefix: string | undefined
  for (const [key, value] of new URLSearchParams(query)) {
    const [file, pem] = [fileKeys.find((one) => one === key), tlsKeys.find((one) => one === key)]
    if (value === '') throw bad(`${key} in a nats:// url has no value`)
    if (file !== undefined) files[file] = value
    else if (pem !== undefined) tls[pem] = value
    else if (key === 'prefix') prefix = value
    else throw bad(`${key} is not known in a nats:// url`, `there are prefix, ${[...fileKeys, ...tlsKeys].join(', ')}`)
  }
  const isEncrypted = scheme === 'tls' || Object.keys(tls).length > 0
  return checkNatsOptions({
    servers: hosts.split(','),
    ...(login !== undefined && loginOf(login)),
    ...files,
    ...(isEncrypted && { tls }),
    ...(prefix !== undefined && { prefix }),
  })
}

/**
 * What a url says, with what else is known beside it.
 * @throws EpochcastError `EC_BAD_ARGUMENT` for what is said twice: one of both would be ignored
 */
export function withMore(said: NatsOptions, more: Omit<NatsOptions, 'servers'>): NatsOptions {
  const [{ tls: saidTls, ...rest }, { tls: moreTls, ...others }] = [said, more]
  const twice = saidTwice(rest, others) ?? saidTwice(saidTls ?? {}, moreTls ?? {})
  if (twice !== undefined) throw bad(`${twice} is in the nats:// url and in the options`, 'say it in one place')
  const tls = saidTls === undefined && moreTls === undefined ? undefined : { ...saidTls, ...moreTls }
  return checkNatsOptions({ ...rest, ...others, ...(tls && { tls }) })
}

function saidTwice(one: object, other: object): string | undefined {
  return Object.keys(other).find((key) => key in one)
}

/** The url that says the same. */
export function formatNatsUrl({ servers, user, password, token, tls, ...named }: NatsOptions): string {
  const login = user === undefined ? token : `${encodeURIComponent(user)}:${encodeURIComponent(password ?? '')}`
  const query = new URLSearchParams({ ...given(named), ...given(tls ?? {}) }).toString()
  const host = `${login === undefined ? '' : `${user === undefined ? encodeURIComponent(login) : login}@`}${servers.join(',')}`
  return `${tls === undefined ? 'nats' : 'tls'}://${host}${query === '' ? '' : `?${query}`}`
}

/** A url as it may be shown. */
export function withoutPassword(url: string): string {
  return url.replace(/\/\/[^@/]*@/, '//…@')
}

/**
 * @returns the same with every server as `host:port`
 * @throws EpochcastError `EC_BAD_ARGUMENT` naming what is wrong
 */
export function checkNatsOptions(options: NatsOptions): NatsOptions {
  const problem = natsProblem(options)
  if (problem !== null) throw bad(problem)
  return { ...options, servers: options.servers.map((server) => natsServer(server) ?? server) }
}

/** What does not fit in these options; null when all is well. */
export function natsProblem(options: NatsOptions): string | null {
  const { servers, user, password, token, creds, nkey, tls, prefix } = options
  if (servers.length === 0) return 'no NATS server is named'
  const wrong = servers.find((server) => natsServer(server) === null)
  if (wrong !== undefined) return `NATS server ${JSON.stringify(wrong.slice(0, 80))} is not host:port`
  const kinds = [user, token, creds, nkey].filter((one) => one !== undefined).length
  if (kinds > 1) return 'NATS takes one kind of credentials: user and password, token, creds or nkey'
  if (password !== undefined && user === undefined) return 'a NATS password needs its user'
  if ((tls?.cert === undefined) !== (tls?.key === undefined))
    return 'a NATS client certificate is cert and key together'
  if (prefix !== undefined && (!prefixPattern.test(prefix) || prefix.length > prefixLengthMax)) {
    return `prefix ${JSON.stringify(prefix.slice(0, 80))} is not words of letters, digits, "-" and "_" joined by dots`
  }
  return null
}

/** `host:port` of a server, with or without `nats://` and port; null when it is none. */
export function natsServer(text: string): string | null {
  const match = serverPattern.exec(text.replace(/^(nats|tls):\/\//, ''))
  if (match === null) return null
  const port = match[2] === undefined ? defaultPort : Number(match[2])
  return port < 1 || port > 65_535 ? null : `${match[1]}:${port}`
}

function given(options: object): Record<string, string> {
  const entries = Object.entries(options) as [string, string | undefined][]
  return Object.fromEntries(entries.filter((entry): entry is [string, string] => entry[1] !== undefined))
}

function loginOf(text: string): Pick<NatsOptions, 'user' | 'password' | 'token'> {
  const at = text.indexOf(':')
  try {
    if (at < 0) return { token: decodeURIComponent(text) }
    return { user: decodeURIComponent(text.slice(0, at)), password: decodeURIComponent(text.slice(at + 1)) }
  } catch {
    throw bad('the user in a nats:// url is not percent-encoded')
  }
}

function bad(message: string, hint?: string): EpochcastError {
  return new EpochcastError('EC_BAD_ARGUMENT', message, hint === undefined ? {} : { hint })
}
