/**
 * Who sends a subscription its message bodies, and how much of them may be under way. One member at a time is the source; it is
 * granted credit in bytes. When it is silent about what others report, the next member takes over.
 */
import type { Address, Epoch, TopicName } from '../../proto/ids.ts'
import { type Effect, send } from '../../proto/machine/contract.ts'
import type { Timer } from '../../proto/machine/timers.ts'
import type { MessageSet } from '../../proto/message-set.ts'
import type { Follower } from '../follower.ts'
import type { ClientTimer, ClientTimers } from '../timers.ts'

const windowBytes = 1024 * 1024
/** How long a source may be silent until another is asked; twice as long after every time. */
const silenceTicksMin = 2
const silenceTicksMax = 40
/** Without a change of the source for so long, patience begins anew. */
const trustedTicks = 300
const resubscribeTicks = 10

/** What is asked of the members. */
export interface Subscribed {
  readonly topic: TopicName
  readonly epoch: Epoch
  /** What has been received already. */
  readonly since: MessageSet
  /** False: reports alone. */
  readonly wantsBodies: boolean
}

/** What a source needs of its subscription. */
export interface SourceListener {
  /** Whether members report something that has not come. */
  lacksBodies(): boolean
  /** Another member is the source now: it is to be asked. */
  changed(out: Effect[]): void
}

export class BodySource {
  readonly #follower: Follower
  readonly #token: number
  /** Counts changes of the source; which member it is follows from that. */
  #turn: number
  /** Granted to the source, counted like `#consumedBytes` from the last subscribe on. */
  #creditBytes = 0
  #consumedBytes = 0
  /** Received and not taken by the reader. */
  #outstandingBytes = 0
  readonly #timers: ClientTimers
  readonly #listener: SourceListener
  /** Rings at every tick while bodies are missing, and is stopped else. */
  readonly #silence: Timer<ClientTimer>
  /** What the members know to be read. */
  #reading: { readonly topic: TopicName; readonly epoch: Epoch } | null = null
  /** Tick at which something came last. */
  #heardAt = 0
  /** Tick since which bodies have been missing. */
  #lackingSince: number | null = null
  #patience = silenceTicksMin
  #turnedAt = 0
  #subscribedAt = 0

  constructor(follower: Follower, token: number, timers: ClientTimers, listener: SourceListener) {
    this.#follower = follower
    this.#token = token
    this.#timers = timers
    this.#listener = listener
    this.#silence = timers.timer('source', follower.topic, (out) => this.#watch(out))
    // Subscribers begin at different members.
    this.#turn = token
  }

  get turn(): number {
    return this.#turn
  }

  get hasRoom(): boolean {
    return this.#outstandingBytes < windowBytes
  }

  address(): Address | null {
    const addresses = this.#follower.addresses()
    return addresses[this.#turn % Math.max(1, addresses.length)] ?? null
  }

  /** Something came, wanted or not. */
  heard(): void {
    this.#heardAt = this.#timers.now
  }

  /** Bodies may be missing from now on: something was reported, or there is room again. */
  expect(): void {
    if (this.#reading !== null) this.#silence.setIfStopped(1)
  }

  /** Nothing more is expected of the members. */
  leave(): void {
    this.#reading = null
    this.#lackingSince = null
    this.#silence.stop()
  }

  /** Bytes that wait for the reader. */
  hold(bytes: number): void {
    this.#outstandingBytes += bytes
  }

  /** Bytes that waited, and will not be given to the reader. */
  drop(bytes: number): void {
    this.#outstandingBytes -= bytes
  }

  /** Bytes that used up credit and take no room here. */
  pass(bytes: number): void {
    this.#consumedBytes += bytes
  }

  /** Bytes that had passed are given to the reader after all. */
  recall(bytes: number): void {
    this.#outstandingBytes += bytes
    this.#consumedBytes -= bytes
  }

  /** The reader took what waited. */
  consume(bytes: number): void {
    const hadRoom = this.hasRoom
    this.#consumedBytes += bytes
    this.#outstandingBytes -= bytes
    if (!hadRoom && this.hasRoom) this.expect()
  }

  /** Tells the source of room, where there is much of it. */
  grant(topic: TopicName, epoch: Epoch, out: Effect[]): void {
    const creditBytes = this.#consumedBytes + windowBytes
    if (creditBytes - this.#creditBytes < windowBytes / 4) return
    this.#creditBytes = creditBytes
    const to = this.address()
    if (to !== null) send(out, to, { kind: 'credit', topic, epoch, creditBytes }, this.#token)
  }

  /** @param only who is asked, all members without it */
  subscribe({ topic, epoch, since, wantsBodies }: Subscribed, out: Effect[], only?: readonly Address[]): void {
    const source = this.address()
    this.#subscribedAt = this.#timers.now
    this.#reading = { topic, epoch }
    this.expect()
    for (const to of only ?? this.#follower.addresses()) {
      if (to === source) {
        // Credit is counted from here on: what is on its way to the reader has its room already.
        this.#consumedBytes = -this.#outstandingBytes
        this.#creditBytes = wantsBodies ? Math.max(0, windowBytes - this.#outstandingBytes) : 0
      }
      const creditBytes = to === source ? this.#creditBytes : 0
      send(out, to, { kind: 'subscribe', topic, epoch, since, creditBytes }, this.#token)
    }
  }

  /** Whether the last subscribe is so long ago that another one is not one too many. */
  get mayAskAgain(): boolean {
    return this.#timers.now - this.#subscribedAt > resubscribeTicks
  }

  next(): void {
    this.#turn++
  }

  /** While bodies are missing that others report. */
  #watch(out: Effect[]): void {
    if (!this.hasRoom || !this.#listener.lacksBodies()) {
      this.#lackingSince = null
      return
    }
    const { now } = this.#timers
    this.#lackingSince ??= now - 1
    this.#silence.set(1)
    const isTrusted = now - this.#turnedAt > trustedTicks
    const patience = isTrusted ? silenceTicksMin : this.#patience
    if (now - Math.max(this.#heardAt, this.#lackingSince) <= patience) return
    this.#lackingSince = now
    this.#turnedAt = now
    this.#patience = Math.min(silenceTicksMax, patience * 2)
    this.next()
    this.#listener.changed(out)
  }
}
