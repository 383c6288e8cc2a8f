/**
 * Which servers there are and which of them are alive: heartbeats, and lists exchanged where they differ. It only ever says
 * where to send and whom to suspect; who belongs to a topic is decided by epoch changes alone.
 */
import type { Member } from '../../proto/configuration.ts'
import { type Address, type ServerId, type ServerName, serverIdOf } from '../../proto/ids.ts'
import { type Effect, send } from '../../proto/machine/contract.ts'
import type { Shortage } from '../../proto/shortage.ts'
import type { Sync } from '../../proto/sync.ts'
import { messageBytes } from '../../proto/wire/codec.ts'
import type { MessageOf } from '../../proto/wire/messages.ts'
import type { LogRecordOf } from '../../proto/wire/records.ts'
import { Lives } from './lives.ts'

interface Known {
  member: Member
  /** Ticks since it was last heard of directly; what others tell does not count. */
  silentTicks: number
  /** As it said itself. */
  sync: Sync
  /** As it said last. */
  short: readonly Shortage[]
}

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

export class Directory {
  readonly #self: Member
  readonly #seeds: readonly Address[]
  readonly #known = new Map<ServerId, Known>()
  readonly #lives = new Lives()
  readonly #shows: Shows
  readonly #findings: Findings
  readonly #says: { readonly sync?: Sync }
  readonly #shortages: () => readonly Shortage[]
  /** Made again when somebody new is known. */
  #sorted: Member[] | null = null
  #listDigest: number | null = null
  #ticks = 0

  constructor(
    self: Member,
    seeds: readonly Address[],
    shows: Shows = () => null,
    findings: Findings = { old: () => [], twins: () => [] },
    sync: Sync = 'always',
    shortages: () => readonly Shortage[] = () => [],
  ) {
    this.#self = self
    this.#shows = shows
    this.#findings = findings
    this.#seeds = seeds.filter((seed) => seed !== self.address)
    this.#says = sync === 'always' ? {} : { sync }
    this.#shortages = shortages
    this.#known.set(serverIdOf(self.name), { member: self, silentTicks: 0, sync, short: [] })
  }

  /** Every server that was heard of, this one included, in the order of their names. */
  servers(): readonly Member[] {
    this.#sorted ??= [...this.#known.values()].map(({ member }) => member).sort((a, b) => (a.name < b.name ? -1 : 1))
    return this.#sorted
  }

  /** Servers that answer. */
  alive(): Member[] {
    return this.servers().filter((member) => this.isAlive(member.name))
  }

  /** With one other server, its death and the loss of the way to it look the same, and it is taken for dead. */
  get isCutOff(): boolean {
    if (this.#known.size < 3) return false
    for (const { member, silentTicks } of this.#known.values()) {
      if (member.name !== this.#self.name && silentTicks < suspectTicks) return false
    }
    return true
  }

  isAlive(name: ServerName): boolean {
    const known = this.#known.get(serverIdOf(name))
    if (known?.member.name !== name) return false
    return name === this.#self.name || known.silentTicks < suspectTicks
  }

  find(name: ServerName): Member | undefined {
    const known = this.#known.get(serverIdOf(name))
    return known?.member.name === name ? known.member : undefined
  }

  byId(id: ServerId): Member | undefined {
    return this.#known.get(id)?.member
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
    for (const known of this.#known.values()) {
      if (known.member.address !== address || known.member.name === this.#self.name) continue
      known.silentTicks = Math.max(known.silentTicks, suspectTicks)
      send(out, address, { kind: 'introduce' })
    }
  }

  /** False in the first moments of a process, while it has not heard of everybody who is there. */
  get settled(): boolean {
    return this.#ticks > settleTicks
  }

  /**
   * A server said who it is. A newer storage under the same id is another server and takes its place; one that was forgotten
   * is a server again.
   */
  heard(member: Member, out: Effect[]): void {
    if (member.name === this.#self.name) return
    const id = serverIdOf(member.name)
    if (id === serverIdOf(this.#self.name)) return
    if (this.#lives.isForgotten(member.name)) this.#live(member.name, this.#lives.next(member.name), out)
    const known = this.#known.get(id)
    if (known?.member.name === member.name && known.member.address === member.address) known.silentTicks = 0
    else this.#note(id, member, 0)
  }

  /** Servers that flush later than `always`, as far as they have said so. */
  syncs(): MessageOf<'directory'>['syncs'] {
    const all = [...this.#known.values()].map(({ member: { name }, sync }) => ({ name, sync }))
    return all.filter(({ sync }) => sync !== 'always')
  }

  /** What servers that answer are short of, this one included. */
  short(): MessageOf<'directory'>['short'] {
    return [...this.#known.values()].flatMap(({ member: { name }, short }) => {
      const now = name === this.#self.name ? this.#shortages() : this.isAlive(name) ? short : []
      return now.map((shortage) => ({ name, shortage }))
    })
  }

  /** Those of some members whose disks are full. */
  fullAmong(members: readonly Member[]): ServerName[] {
    const full = new Set(this.short().flatMap(({ name, shortage }) => (shortage === 'space' ? [name] : [])))
    return members.map(({ name }) => name).filter((name) => full.has(name))
  }

  /** Others told of it: it is asked itself before it counts as alive. */
  told(members: readonly Member[], out: Effect[]): void {
    const strange = members.filter(({ name }) => !this.#known.has(serverIdOf(name)) && !this.#lives.isForgotten(name))
    for (const member of strange) this.#note(serverIdOf(member.name), member, suspectTicks)
    if (strange.length > 0) this.#greet(strange, out)
  }

  onAlive(from: Address, message: MessageOf<'alive'>, out: Effect[]): void {
    const { member, sync = 'always' } = message
    this.heard(member, out)
    const known = this.#known.get(serverIdOf(member.name))
    if (known?.member.name === member.name && member.name !== this.#self.name) {
      known.sync = sync
      known.short = message.shortages
    }
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
    return this.#known.has(id) ? undefined : this.#lives.forgotten(id)
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

  tick(out: Effect[]): void {
    for (const known of this.#known.values()) known.silentTicks++
    if (this.#ticks++ % heartbeatTicks !== 0) return
    const others = this.servers().filter((member) => member.name !== this.#self.name)
    const addresses = others.map((member) => member.address)
    this.#greet(others, out)
    const strange = this.#seeds.filter((seed) => !addresses.includes(seed))
    if (strange.length > 0) send(out, strange, { kind: 'introduce' })
  }

  /** Names of those that do not answer. */
  silent(): ServerName[] {
    return this.servers().flatMap((member) => (this.isAlive(member.name) ? [] : [member.name]))
  }

  /** Everything that is known of servers, for whoever asks. */
  describe(arbiters: readonly Member[]): MessageOf<'directory'> {
    const [servers, silent, syncs, short] = [this.servers(), this.silent(), this.syncs(), this.short()]
    const [old, twins] = [this.#findings.old(), this.#findings.twins()]
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
    if (this.#lives.isForgotten(name) && this.#known.get(id)?.member.name === name) this.#known.delete(id)
    this.#sorted = null
    this.#listDigest = null
  }

  #greet(members: readonly Member[], out: Effect[]): void {
    const to = members.map((member) => member.address)
    if (to.length === 0) return
    const shortages = this.#shortages()
    const said = { member: this.#self, directory: this.#digest(), ...this.#shows(), ...this.#says, shortages }
    send(out, to, { kind: 'alive', ...said })
  }

  #note(id: ServerId, member: Member, silentTicks: number): void {
    this.#known.set(id, { member, silentTicks, sync: 'always', short: [] })
    this.#sorted = null
    this.#listDigest = null
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
