/**
 * Which servers there are and which of them are alive: heartbeats, and lists exchanged where they differ. It only ever says
 * where to send and whom to suspect; who belongs to a topic is decided by epoch changes alone.
 */
import type { Member } from '../../proto/configuration.ts'
import { type Address, type ServerId, type ServerName, serverIdOf } from '../../proto/ids.ts'
import { type Effect, send } from '../../proto/machine/contract.ts'
import type { Timer } from '../../proto/machine/timers.ts'
import type { Shortage } from '../../proto/shortage.ts'
import type { Sync } from '../../proto/sync.ts'
import { messageBytes } from '../../proto/wire/codec.ts'
import type { MessageOf } from '../../proto/wire/messages.ts'
import type { LogRecordOf } from '../../proto/wire/records.ts'
import type { ServerTimers } from '../timers.ts'
import { Lives } from './lives.ts'

interface Known {
  readonly member: Member
  /** Set anew whenever it is heard of directly, for what others tell does not count: while it is set, the server is alive. */
  readonly silence: Timer
  said: Said
}

/** What a server says of itself in each heartbeat. */
interface Said {
  readonly sync: Sync
  readonly short: readonly Shortage[]
}

const nothingSaid: Said = { sync: 'always', short: [] }

const heartbeatTicks = 20
const suspectTicks = 100
const settleTicks = 50

/** What a heartbeat says of its process, and of the log: of the log nothing while this server does not speak for its topics. */
export type Shows = () => { readonly incarnation: number; readonly position?: number } | null

/** What servers have found out about each other, for whoever asks. */
export interface Findings {
  /** Their disk is an old copy. */
  old(): readonly ServerName[]
  /** Processes that were refused, because another one runs under their id. */
  twins(): readonly Member[]
}

/** A server came to count as alive, or as dead. The directory says so already. */
export type TellAliveChanged = (name: ServerName, isAlive: boolean, out: Effect[]) => void

/** What the directory shows of this server, and whom it tells. */
export interface DirectoryPorts {
  readonly shows: Shows
  readonly findings: Findings
  readonly shortages: () => readonly Shortage[]
  readonly tellAliveChanged: TellAliveChanged
}

const noPorts: DirectoryPorts = {
  shows: () => null,
  findings: { old: () => [], twins: () => [] },
  shortages: () => [],
  tellAliveChanged: () => {},
}

export class Directory {
  readonly #self: Member
  readonly #seeds: readonly Address[]
  /** Every server that was heard of, but this one. */
  readonly #others = new Map<ServerId, Known>()
  readonly #timers: ServerTimers
  readonly #lives = new Lives()
  readonly #ports: DirectoryPorts
  readonly #sync: Sync
  /** Made again when somebody new is known. */
  #sorted: Member[] | null = null
  #listDigest: number | null = null
  readonly #heartbeat: Timer
  readonly #settling: Timer
  #whenSettled: ((out: Effect[]) => void)[] = []

  /** @param sync when this server flushes */
  constructor(
    self: Member,
    seeds: readonly Address[],
    timers: ServerTimers,
    sync: Sync = 'always',
    ports: Partial<DirectoryPorts> = {},
  ) {
    this.#self = self
    this.#seeds = seeds.filter((seed) => seed !== self.address)
    this.#timers = timers
    this.#sync = sync
    this.#ports = { ...noPorts, ...ports }
    this.#heartbeat = timers.timer('heartbeat', '', (out) => this.#beat(out))
    this.#heartbeat.set(1)
    this.#settling = timers.timer('settle', '', (out) => this.#settle(out))
    this.#settling.set(settleTicks)
  }

  /** Every server that was heard of, this one included, in the order of their names. */
  servers(): readonly Member[] {
    this.#sorted ??= [...this.#others.values()]
      .map(({ member }) => member)
      .concat(this.#self)
      .sort((a, b) => (a.name < b.name ? -1 : 1))
    return this.#sorted
  }

  /** Servers that answer. */
  alive(): Member[] {
    return this.servers().filter((member) => this.isAlive(member.name))
  }

  /** With one other server, its death and the loss of the way to it look the same, and it is taken for dead. */
  get isCutOff(): boolean {
    if (this.#others.size < 2) return false
    for (const { silence } of this.#others.values()) if (silence.isSet) return false
    return true
  }

  isAlive(name: ServerName): boolean {
    if (name === this.#self.name) return true
    const known = this.#others.get(serverIdOf(name))
    return known?.member.name === name && known.silence.isSet
  }

  find(name: ServerName): Member | undefined {
    const member = this.byId(serverIdOf(name))
    return member?.name === name ? member : undefined
  }

  byId(id: ServerId): Member | undefined {
    return id === serverIdOf(this.#self.name) ? this.#self : this.#others.get(id)?.member
  }

  /** Whether what comes from there under that name comes from a server that is known. */
  isServer(name: ServerName, from: Address): boolean {
    return this.find(name)?.address === from
  }

  addressOf(member: Member): Address {
    return this.find(member.name)?.address ?? member.address
  }

  /** A connection broke: a hint that the server is gone. It is asked at once whether it is still there. */
  peerDown(address: Address, out: Effect[]): void {
    for (const { member, silence } of [...this.#others.values()]) {
      if (member.address !== address) continue
      send(out, address, { kind: 'introduce' })
      if (!silence.isSet) continue
      silence.stop()
      this.#ports.tellAliveChanged(member.name, false, out)
    }
  }

  /** False in the first moments of a process, while it has not heard of everybody who is there. */
  get settled(): boolean {
    return !this.#settling.isSet
  }

  /** Calls back once, when this process has had the time to hear of everybody who is there. */
  whenSettled(run: (out: Effect[]) => void): void {
    this.#whenSettled.push(run)
  }

  /**
   * A server said who it is. A newer storage under the same id is another server and takes its place; one that was forgotten
   * is a server again.
   */
  heard(member: Member, out: Effect[], said?: Said): void {
    const id = serverIdOf(member.name)
    if (id === serverIdOf(this.#self.name)) return
    if (this.#lives.isForgotten(member.name)) this.#live(member.name, this.#lives.next(member.name), out)
    const before = this.#others.get(id)
    const wasAlive = before?.silence.isSet === true
    const isThere = before?.member.name === member.name && before.member.address === member.address
    const known = isThere ? before : this.#note(id, member)
    known.silence.set(suspectTicks)
    if (said !== undefined) known.said = said
    const isAnother = before !== undefined && before.member.name !== member.name
    if (wasAlive && isAnother) this.#ports.tellAliveChanged(before.member.name, false, out)
    if (!wasAlive || isAnother) this.#ports.tellAliveChanged(member.name, true, out)
  }

  /** Servers that flush later than `always`, as far as they have said so. */
  syncs(): MessageOf<'directory'>['syncs'] {
    const others = [...this.#others.values()].map(({ member: { name }, said: { sync } }) => ({ name, sync }))
    return [{ name: this.#self.name, sync: this.#sync }, ...others].filter(({ sync }) => sync !== 'always')
  }

  /** What servers that answer are short of, this one included. */
  short(): MessageOf<'directory'>['short'] {
    const others = [...this.#others.values()].filter(({ silence }) => silence.isSet)
    const all = [
      { name: this.#self.name, short: this.#ports.shortages() },
      ...others.map(({ member: { name }, said: { short } }) => ({ name, short })),
    ]
    return all.flatMap(({ name, short }) => short.map((shortage) => ({ name, shortage })))
  }

  /** Those of some members whose disks are full. */
  fullAmong(members: readonly Member[]): ServerName[] {
    const full = new Set(this.short().flatMap(({ name, shortage }) => (shortage === 'space' ? [name] : [])))
    return members.map(({ name }) => name).filter((name) => full.has(name))
  }

  /** Others told of it: it is asked itself before it counts as alive. */
  told(members: readonly Member[], out: Effect[]): void {
    this.#greet(this.#noteStrange(members), out)
  }

  /** Servers that a record which survived a restart names. */
  recoverServers(members: readonly Member[]): void {
    this.#noteStrange(members)
  }

  onAlive(from: Address, message: MessageOf<'alive'>, out: Effect[]): void {
    const { member, sync = 'always' } = message
    this.heard(member, out, { sync, short: message.shortages })
    if (message.directory === this.#digest()) return
    const lives = this.#lives.all()
    const nothing = { silent: [], old: [], syncs: [], arbiters: [], short: [], twins: [] }
    send(out, from, { kind: 'directory', servers: this.servers(), lives, ...nothing })
  }

  /** Takes a server that is gone for good off the list, here and at all others. The caller has made sure that it has no part. */
  forget(name: ServerName, out: Effect[]): void {
    if (this.find(name) !== undefined && !this.isAlive(name)) this.#live(name, this.#lives.next(name), out)
  }

  /** Whether so many servers were forgotten that no more can be. */
  get forgotEnough(): boolean {
    return this.#lives.isFull
  }

  /** The server of that id that was forgotten last and did not come back, if there is one. */
  forgotten(id: ServerId): ServerName | undefined {
    return this.byId(id) === undefined ? this.#lives.forgotten(id) : undefined
  }

  /** Servers that others know to have been forgotten, or to have come back after that. */
  learnLives(lives: MessageOf<'directory'>['lives'], out: Effect[]): void {
    for (const { name, count } of lives) {
      if (!this.#lives.isNews(name, count)) continue
      // This server is not gone, nor is one that was heard of lately.
      const isHere = Lives.isForgottenAt(count) && this.isAlive(name)
      this.#live(name, isHere ? count + 1 : count, out)
    }
  }

  /** A record that survived a restart. */
  recoverLives({ servers }: LogRecordOf<'lives'>): void {
    for (const { name, count } of servers) if (this.#lives.isNews(name, count)) this.#lives.set(name, count)
  }

  /** Names of those that do not answer. */
  silent(): ServerName[] {
    return this.servers().flatMap((member) => (this.isAlive(member.name) ? [] : [member.name]))
  }

  /** Everything that is known of servers, for whoever asks. */
  describe(arbiters: readonly Member[]): MessageOf<'directory'> {
    const [servers, silent, syncs, short] = [this.servers(), this.silent(), this.syncs(), this.short()]
    const [old, twins] = [this.#ports.findings.old(), this.#ports.findings.twins()]
    return { kind: 'directory', servers, silent, old, syncs, arbiters, lives: [], short, twins }
  }

  #live(name: ServerName, count: number, out: Effect[]): void {
    out.push({
      kind: 'persist',
      record: 'protocol',
      bytes: messageBytes({ kind: 'lives', servers: [{ name, count }] }),
    })
    this.#lives.set(name, count)
    const id = serverIdOf(name)
    const known = this.#others.get(id)
    if (this.#lives.isForgotten(name) && known?.member.name === name) {
      known.silence.stop()
      this.#others.delete(id)
    }
    this.#sorted = null
    this.#listDigest = null
  }

  /** Every so often, as long as anybody is to be told or looked for. */
  #beat(out: Effect[]): void {
    const others = this.servers().filter(({ name }) => name !== this.#self.name)
    const strange = this.#seeds.filter((seed) => !others.some(({ address }) => address === seed))
    this.#greet(others, out)
    if (strange.length > 0) send(out, strange, { kind: 'introduce' })
    if (others.length + strange.length > 0) this.#heartbeat.set(heartbeatTicks)
  }

  #settle(out: Effect[]): void {
    const waiting = this.#whenSettled
    this.#whenSettled = []
    for (const run of waiting) run(out)
  }

  #greet(members: readonly Member[], out: Effect[]): void {
    const to = members.map((member) => member.address)
    if (to.length === 0) return
    const { shows, shortages } = this.#ports
    const says = this.#sync === 'always' ? {} : { sync: this.#sync }
    const said = { member: this.#self, directory: this.#digest(), ...shows(), ...says, shortages: shortages() }
    send(out, to, { kind: 'alive', ...said })
  }

  /** Notes those that are new and were not forgotten. They count as dead until they are heard of. */
  #noteStrange(members: readonly Member[]): Member[] {
    const isStrange = ({ name }: Member) => this.byId(serverIdOf(name)) === undefined && !this.#lives.isForgotten(name)
    const strange = members.filter(isStrange)
    for (const member of strange) this.#note(serverIdOf(member.name), member)
    return strange
  }

  #note(id: ServerId, member: Member): Known {
    this.#others.get(id)?.silence.stop()
    const tell = (out: Effect[]) => this.#ports.tellAliveChanged(member.name, false, out)
    const known: Known = { member, silence: this.#timers.timer('silence', id, tell), said: nothingSaid }
    this.#others.set(id, known)
    this.#sorted = null
    this.#listDigest = null
    this.#heartbeat.setIfStopped(heartbeatTicks)
    return known
  }

  /** Two servers with the same lists have the same number. */
  #digest(): number {
    this.#listDigest ??= digestOf([
      ...this.servers().flatMap(({ name, address }) => [name, address]),
      ...this.#lives.all().flatMap(({ name, count }) => [name, String(count)]),
    ])
    return this.#listDigest
  }
}

function digestOf(texts: readonly string[]): number {
  let digest = 0
  for (const text of texts) {
    for (let at = 0; at < text.length; at++) digest = (Math.imul(digest, 31) + text.charCodeAt(at)) >>> 0
  }
  return digest
}
