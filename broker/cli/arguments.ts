/** Checks for what users type; a wrong word is answered with the nearest right one. */
import type { From } from '../../client-sdk/index.ts'
import { didYouMean } from '../../proto/closest.ts'
import { type Decider, type Mode, modes, type Order, orders } from '../../proto/configuration.ts'
import { outsideEngine, parseDecider } from '../../proto/decider.ts'
import { EpochcastError } from '../../proto/errors.ts'
import { type Address, address, serverId } from '../../proto/ids.ts'
import { parseSync, type Sync } from '../../proto/sync.ts'
import { defaultNatsUrl, isNatsUrl, type NatsOptions, parseNatsUrl } from '../../proto/transport/nats-options.ts'
import { isNatsServer } from '../../proto/transport/nats-subjects.ts'
import { parseHostPort } from '../../proto/transport/tcp-address.ts'

export function wordOf<Word extends string>(what: string, words: readonly Word[]): (text: string) => Word {
  return (text) => {
    const word = words.find((one) => one === text)
    if (word !== undefined) return word
    throw bad(`${JSON.stringify(text)} is no ${what}${didYouMean(text, words)}`, `${what}: ${words.join(', ')}`)
  }
}

export const toMode: (text: string) => Mode = wordOf('mode', modes)
export const toOrder: (text: string) => Order = wordOf('order', orders)

/** `stakes`, `engine`, or `engine:ID`; which instance that is, the servers find out. */
export function toDecider(text: string): Decider {
  const words = ['stakes', 'engine']
  if (text.startsWith('engine:') && outsideEngine(parseDecider(text))?.instance === null) return parseDecider(text)
  const word = words.find((one) => one === text)
  if (word !== undefined) return parseDecider(word)
  const hint = 'decider: stakes, engine (the arbiters), or engine:ID as the configuration of the servers names it'
  throw bad(`${JSON.stringify(text)} is no decider${didYouMean(text, words)}`, hint)
}

/** `always`, `interval N` or `memory`. */
export const toSync = (text: string): Sync => parseSync(text)

export function wholeNumber(what: string, min: number, max: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN
    if (value >= min && value <= max) return value
    throw bad(`${what} ${JSON.stringify(text)} is not a whole number from ${min} to ${max}`)
  }
}

const units: Record<string, number> = { ms: 1, s: 1_000, m: 60_000 }
const durationMaxMs = 24 * 3_600_000

/** Milliseconds: `1500`, `1500ms`, `10s`, `2m`. */
export function toMilliseconds(text: string): number {
  const match = /^(\d{1,9})(ms|s|m)?$/.exec(text)
  const value = match === null ? 0 : Number(match[1]) * (units[match[2] ?? 'ms'] ?? 1)
  if (value >= 1 && value <= durationMaxMs) return value
  throw bad(`timeout ${JSON.stringify(text)} is not a time`, 'e.g. 500 (milliseconds), 10s, 2m')
}

/** Server ids, separated by commas. */
export function toServerIds(text: string): string[] {
  const ids = text.split(',').map((id) => id.trim())
  if (ids.length === 1 && ids[0] === '') throw bad('no server is named', 'e.g. --members a,b,c')
  for (const id of ids) serverId(id)
  return ids
}

/** `HOST:PORT`, or `nats/ID` of a server that listens on NATS. */
export function toAddress(text: string): Address {
  if (parseHostPort(text) !== undefined || isNatsServer(address(text))) return address(text)
  throw bad(`${JSON.stringify(text)} is not HOST:PORT`, 'e.g. 127.0.0.1:7400, or nats/a for server a on NATS')
}

/** The path of a file or of a directory. */
export function toPath(text: string): string {
  if (text.trim() !== '') return text
  throw bad('the path is empty', 'e.g. ./data')
}

export function toNats(text: string): NatsOptions {
  if (!isNatsUrl(text)) throw bad(`${JSON.stringify(text)} is no nats:// url`, `e.g. ${defaultNatsUrl}`)
  return parseNatsUrl(text)
}

/** Addresses, separated by commas. */
export function toAddresses(text: string): Address[] {
  return text.split(',').map((one) => toAddress(one.trim()))
}

/** `start`, `new`, a cursor, `epoch:N`, or a time as ISO 8601 (`time:` may stand before it). */
export function toFrom(text: string): From {
  const epoch = /^epoch:(.*)$/.exec(text)
  if (epoch !== null) return { epoch: wholeNumber('epoch', 1, Number.MAX_SAFE_INTEGER)(epoch[1] ?? '') }
  const time = /^(?:time:)?(\d{4}-.*)$/.exec(text)?.[1] ?? /^time:(.*)$/.exec(text)?.[1]
  if (time === undefined) return text
  const timeMs = /^\d{10,15}$/.test(time) ? Number(time) : Date.parse(time)
  if (!Number.isNaN(timeMs)) return { time: timeMs }
  throw bad(
    `${JSON.stringify(time)} is not a time`,
    'e.g. 2026-01-31T12:00:00Z, or milliseconds since 1970 as time:1769860800000',
  )
}

/** Collects `name=value` options. */
export function toHeader(text: string, before: Readonly<Record<string, string>> = {}): Record<string, string> {
  const at = text.indexOf('=')
  if (at < 1) throw bad(`header ${JSON.stringify(text)} is not NAME=VALUE`, 'e.g. --header trace-id=7')
  return { ...before, [text.slice(0, at)]: text.slice(at + 1) }
}

export function bad(message: string, hint?: string): EpochcastError {
  return new EpochcastError('EC_BAD_ARGUMENT', message, hint === undefined ? {} : { hint })
}
