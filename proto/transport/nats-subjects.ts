/**
 * Addresses and the subjects behind them. A server is `nats/<id>`, a client `client:<name>`, any server `nats/*`.
 *
 *     <prefix>.s.<id>                    frames for a server
 *     <prefix>.c.<name>                  frames for a client
 *     <prefix>.any                       frames for any one server (a queue group)
 *     <prefix>.g.<hash>                  frames for all of a group of servers
 *     <prefix>.r.<s|c>.<name>.<life>.<n> reply subject of every frame: who sent it, in which life, and on which route. NATS
 *                                        itself answers there when nobody listens where the frame went.
 */
import { createHash } from 'node:crypto'
import { type Address, address } from '../ids.ts'

const serverPrefix = 'nats/'
const clientPrefix = 'client:'
const token = /^[A-Za-z0-9_-]{1,200}$/
const groupHash = /^[0-9a-f]{32}$/

/** Stands for whichever server NATS chooses. */
export const anyServer: Address = address(`${serverPrefix}*`)

export function natsServerAddress(id: string): Address {
  return address(`${serverPrefix}${id}`)
}

export function natsClientAddress(name: string): Address {
  return address(`${clientPrefix}${name}`)
}

export function isNatsServer(to: Address): boolean {
  return to.startsWith(serverPrefix) && token.test(to.slice(serverPrefix.length))
}

export function isNatsClient(to: Address): boolean {
  return to.startsWith(clientPrefix) && token.test(to.slice(clientPrefix.length))
}

/** Who sent a frame, as its reply subject tells. */
export interface Sender {
  readonly address: Address
  /** Changes with every connection to NATS: what was agreed with an earlier life is void. */
  readonly life: string
}

export class Subjects {
  readonly #prefix: string
  readonly #replyPrefix: string

  constructor(prefix: string) {
    this.#prefix = prefix
    this.#replyPrefix = `${prefix}.r.`
  }

  get any(): string {
    return `${this.#prefix}.any`
  }

  /** Undefined for what is no address here. */
  of(to: Address): string | undefined {
    if (to === anyServer) return this.any
    const tail = tailOf(to)
    return tail === undefined ? undefined : `${this.#prefix}.${tail}`
  }

  group(hash: string): string {
    return `${this.#prefix}.g.${hash}`
  }

  /** In front of every reply subject of an endpoint. */
  repliesOf(own: Address): string {
    return `${this.#replyPrefix}${tailOf(own)}`
  }

  sender(reply: string): Sender | undefined {
    if (!reply.startsWith(this.#replyPrefix)) return undefined
    const [role, name, life] = reply.slice(this.#replyPrefix.length).split('.')
    if (name === undefined || life === undefined || !token.test(name)) return undefined
    if (role === 's') return { address: natsServerAddress(name), life }
    return role === 'c' ? { address: natsClientAddress(name), life } : undefined
  }
}

/** The same for the same servers, in whatever order they are named. */
export function hashOfGroup(members: readonly Address[]): string {
  return createHash('sha256')
    .update([...members].sort().join(' '))
    .digest('hex')
    .slice(0, 32)
}

export function isGroupHash(text: string): boolean {
  return groupHash.test(text)
}

function tailOf(to: Address): string | undefined {
  if (isNatsServer(to)) return `s.${to.slice(serverPrefix.length)}`
  return isNatsClient(to) ? `c.${to.slice(clientPrefix.length)}` : undefined
}
