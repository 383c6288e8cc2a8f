/**
 * Fetches the bodies of certain messages, of whatever epochs: for readers that do not read everything. One pull at a time; it
 * goes on in the server's index where the one before ended, because what is asked for next mostly came later.
 */
import type { Configuration } from '../../proto/configuration.ts'
import { type Address, type Epoch, type PublisherId, sequence } from '../../proto/ids.ts'
import { type Effect, send } from '../../proto/machine/contract.ts'
import type { Timer } from '../../proto/machine/timers.ts'
import type { Frontier } from '../../proto/message-set.ts'
import type { Batch, MessageOf } from '../../proto/wire/messages.ts'
import type { Follower } from '../follower.ts'
import type { Requests } from '../requests.ts'
import type { Servers } from '../servers.ts'
import type { ClientTimer, ClientTimers } from '../timers.ts'
import type { Reader } from './reader.ts'

export interface WantedBody {
  readonly epoch: Epoch
  readonly publisher: PublisherId
  readonly sequence: number
}

const pageBytesMax = 256 * 1024
const firstGuessBytes = 1024
const silentTicksMax = 30
/** The longest wait for a source that sends other things meanwhile. */
const busyTicksMax = 1_000
const endless = 2 ** 52

export class Bodies implements Reader {
  readonly token: number
  readonly #follower: Follower
  readonly #servers: Servers
  readonly #told: (batch: Batch, sequences: readonly number[]) => void
  #configuration: Configuration | null = null
  /** By epoch and publisher: sequences that are wanted. */
  readonly #wanted = new Map<Epoch, Map<PublisherId, Set<number>>>()
  #asked: Epoch | null = null
  #source: number
  /** Where the source that is asked goes on, by epoch; 0 looks at everything. */
  #resume = new Map<Epoch, number>()
  #meanBytes = firstGuessBytes
  readonly #timers: ClientTimers
  /** Rings when the source is silent for too long, or when another one may be asked. */
  readonly #pause: Timer<ClientTimer>
  /** Tick at which the source was asked, or sent something; and how many it had been busy in by then. */
  #heardAt = 0
  #busyBefore = 0

  constructor(
    follower: Follower,
    servers: Servers,
    requests: Requests,
    told: (batch: Batch, sequences: readonly number[]) => void,
  ) {
    this.#follower = follower
    this.#servers = servers
    this.#told = told
    this.token = requests.nextToken()
    this.#source = this.token
    this.#timers = follower.timersOf(this)
    this.#pause = this.#timers.timer('bodies', follower.topic, (out) => this.#goOn(out))
  }

  get topic() {
    return this.#follower.topic
  }

  want(bodies: readonly WantedBody[], out: Effect[]): void {
    for (const { epoch, publisher, sequence: number } of bodies) {
      let publishers = this.#wanted.get(epoch)
      if (publishers === undefined) {
        publishers = new Map()
        this.#wanted.set(epoch, publishers)
      }
      const sequences = publishers.get(publisher)
      if (sequences === undefined) publishers.set(publisher, new Set([number]))
      else sequences.add(number)
    }
    this.#next(out)
  }

  /** Nothing that was wanted is any more. */
  forget(): void {
    this.#wanted.clear()
  }

  begun(configuration: Configuration, out: Effect[]): void {
    this.#configuration = configuration
    this.#next(out)
  }

  moved({ next }: { readonly next: Configuration }, out: Effect[]): void {
    this.#configuration = next
    this.#another()
    this.#next(out)
  }

  failed(): void {}

  batch(_from: Address, batch: Batch): void {
    this.#heard()
    const publishers = this.#wanted.get(batch.epoch)
    const wanted = publishers?.get(batch.publisher)
    if (publishers === undefined || wanted === undefined) return
    this.#meanBytes = Math.max(1, Math.ceil(batch.body.length / (batch.last - batch.first + 1)))
    const sequences: number[] = []
    for (let number = batch.first; number <= batch.last; number++) if (wanted.delete(number)) sequences.push(number)
    if (wanted.size === 0) publishers.delete(batch.publisher)
    if (publishers.size === 0) this.#wanted.delete(batch.epoch)
    const last = sequences.at(-1)
    if (last === undefined) return
    this.#follower.noteGiven(batch, last)
    this.#told(batch, sequences)
  }

  pulled(message: MessageOf<'pulled'>, out: Effect[]): void {
    if (this.#asked !== message.epoch) return
    this.#asked = null
    const began = this.#resume.get(message.epoch) ?? 0
    if (message.more) this.#resume.set(message.epoch, message.resume)
    else if (this.#wanted.has(message.epoch)) {
      this.#resume.delete(message.epoch)
      // It may stand before the place where this pull began; else this member does not have it, and another one does.
      if (began === 0) {
        this.#another()
        this.#pause.set(1)
        this.#follower.suspect(out)
        return
      }
    } else this.#resume.set(message.epoch, message.resume)
    this.#next(out)
  }

  refused(): void {
    this.#another()
    this.#pause.set(1)
  }

  report(): void {}

  opened(): void {}

  /** It asks for what it wants, and subscribes to nothing. */
  listensTo(): readonly Address[] {
    return []
  }

  silent(): void {}

  heard(): void {}

  peer(address: Address, up: boolean, out: Effect[]): void {
    if (up || address !== this.#sourceAddress()) return
    this.#another()
    this.#next(out)
  }

  close(): void {
    this.forget()
    this.#pause.stop()
    this.#follower.remove(this)
  }

  #goOn(out: Effect[]): void {
    if (this.#asked !== null) {
      const busyTicks = Math.min(busyTicksMax, this.#busyTicks() - this.#busyBefore)
      const ticksLeft = silentTicksMax + 1 + busyTicks - (this.#timers.now - this.#heardAt)
      if (ticksLeft > 0) {
        this.#pause.set(ticksLeft)
        return
      }
      this.#another()
      this.#follower.suspect(out)
    }
    this.#next(out)
  }

  #heard(): void {
    this.#heardAt = this.#timers.now
    this.#busyBefore = this.#busyTicks()
  }

  /** In how many ticks the source has sent bodies, to whatever reader. */
  #busyTicks(): number {
    const source = this.#sourceAddress()
    return source === null ? 0 : this.#follower.busyTicks(source)
  }

  #next(out: Effect[]): void {
    const [next] = this.#wanted
    const to = this.#sourceAddress()
    if (this.#asked !== null || next === undefined || to === null || this.#configuration === null) return
    const [epoch, publishers] = next
    const since = new Map<PublisherId, Frontier>()
    const until = new Map<PublisherId, Frontier>()
    let count = 0
    for (const [publisher, sequences] of publishers) {
      since.set(publisher, { end: Math.min(...sequences) - 1, digest: 0 })
      until.set(publisher, { end: sequence(endless), digest: 0 })
      count += sequences.size
    }
    this.#asked = epoch
    this.#heard()
    this.#pause.set(silentTicksMax + 1)
    const bytesMax = Math.min(pageBytesMax, count * this.#meanBytes)
    const resume = this.#resume.get(epoch) ?? 0
    send(out, to, { kind: 'pull', topic: this.topic, epoch, since, until, bytesMax, resume }, this.token)
  }

  #another(): void {
    this.#asked = null
    this.#source++
    this.#resume = new Map()
  }

  #sourceAddress(): Address | null {
    const members = this.#configuration?.members ?? []
    const member = members[this.#source % Math.max(1, members.length)]
    return member === undefined ? null : this.#servers.addressOf(member)
  }
}
