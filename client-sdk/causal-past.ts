/**
 * What a client has been given and has sent, across its topics: the causes of what it publishes next. Only topics of order
 * `causal` and `total` are in it. A stamp names what is new since its publisher's batch before; with the first batch of an epoch
 * it names everything, so that a stamp that was lost with a dropped batch is made good.
 */

import { asRefusal, refusal } from '../proto/door/refusal.ts'
import type { EpochcastError } from '../proto/errors.ts'
import type { Epoch, PublisherId, TopicName } from '../proto/ids.ts'
import type { Effect } from '../proto/machine/contract.ts'
import { shown } from '../proto/shown.ts'
import type { Dependencies, End } from '../proto/wire/messages.ts'

interface Known {
  epoch: Epoch
  readonly ends: Map<PublisherId, number>
}

/** A publisher, as far as its stamps are concerned. */
export interface Stamping {
  readonly id: PublisherId
  /** When the first of its messages that have not left was published; null when none can leave now. */
  readonly nextTicket: number | null
  /** What is published from now on may have other causes than what was published before. */
  closeDraft(): void
  sendOne(out: Effect[]): void
}

export class CausalPast {
  readonly #known = new Map<TopicName, Known>()
  /** By publisher and topic: whose ends have grown since its last stamp. */
  readonly #fresh = new Map<PublisherId, Map<TopicName, Set<PublisherId>>>()
  #ticket = 0
  #last: Stamping | null = null

  /** A publisher begins an epoch: its first stamp there names everything. */
  begin(publisher: PublisherId): void {
    const fresh = new Map<TopicName, Set<PublisherId>>()
    for (const [topic, { ends }] of this.#known) fresh.set(topic, new Set(ends.keys()))
    this.#fresh.set(publisher, fresh)
  }

  end(publisher: PublisherId): void {
    this.#fresh.delete(publisher)
  }

  /** This client was given a message, or has sent one. */
  note(topic: TopicName, epoch: Epoch, publisher: PublisherId, end: number): void {
    let known = this.#known.get(topic)
    if (known === undefined || known.epoch < epoch) {
      // All of the epochs before comes before all of this one.
      known = { epoch, ends: new Map() }
      this.#known.set(topic, known)
      for (const fresh of this.#fresh.values()) fresh.delete(topic)
    }
    if (known.epoch > epoch || (known.ends.get(publisher) ?? 0) >= end) return
    known.ends.set(publisher, end)
    for (const [owner, fresh] of this.#fresh) {
      if (owner === publisher) continue
      const publishers = fresh.get(topic)
      if (publishers === undefined) fresh.set(topic, new Set([publisher]))
      else publishers.add(publisher)
    }
  }

  /** What the next batch of a publisher comes after, as far as its batches before have not said so; null for nothing new. */
  stamp(publisher: PublisherId, topic: TopicName, epoch: Epoch): Dependencies | null {
    const fresh = this.#fresh.get(publisher)
    if (fresh === undefined || fresh.size === 0) return null
    let own: readonly End[] = []
    const others: Dependencies['others'][number][] = []
    for (const [of, publishers] of fresh) {
      const known = this.#known.get(of)
      if (known === undefined) continue
      const ends: End[] = []
      for (const one of publishers) {
        const end = known.ends.get(one) ?? 0
        if (one !== publisher && end > 0) ends.push({ publisher: one, end })
      }
      if (ends.length === 0) continue
      if (of !== topic) others.push({ topic: of, epoch: known.epoch, ends })
      else if (known.epoch === epoch) own = ends
    }
    fresh.clear()
    return own.length === 0 && others.length === 0 ? null : { own, others }
  }

  /** Somebody publishes: what others of this client have published before is a cause, and becomes a batch without more. */
  publishing(publisher: Stamping): number {
    if (this.#last !== publisher) {
      this.#last?.closeDraft()
      this.#last = publisher
    }
    return ++this.#ticket
  }

  /** Batches leave in the order of their calls, across topics, as far as there is room for them. */
  send(publishers: readonly Stamping[], out: Effect[]): void {
    for (;;) {
      let next: Stamping | null = null
      for (const one of publishers) {
        const ticket = one.nextTicket
        if (ticket !== null && (next === null || ticket < (next.nextTicket ?? 0))) next = one
      }
      if (next === null) return
      next.sendOne(out)
    }
  }
}

/** The end of the year 9999: a clock beyond it counts in something smaller than milliseconds, or is wrong. */
const timeMsMax = 253_402_300_799_999
/** A batch that is this far ahead of the own clock, in milliseconds, has a wrong one: its time is not followed. */
const aheadMsMax = 60_000

/** The largest time that was seen: what is published later is never stamped with an earlier one. */
export class HybridClock {
  readonly #nowMs: () => number
  #last = 0

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs
  }

  /** Time of a batch, in milliseconds since the Unix epoch; an error where the clock of this client has none. */
  stamp(): number | EpochcastError {
    const now = this.#now()
    if (typeof now !== 'number') return now
    this.#last = Math.max(this.#last, now)
    return this.#last
  }

  /** A batch of another publisher was given to this client. */
  witness(time: number): void {
    if (time <= this.#last) return
    const now = this.#now()
    if (typeof now === 'number' && time <= now + aheadMsMax) this.#last = time
  }

  #now(): number | EpochcastError {
    try {
      const now = this.#nowMs()
      if (typeof now === 'number' && now >= 0 && now <= timeMsMax) return Math.floor(now)
      return refusal(`the clock of this client says ${shown(now)}`, 'nowMs() gives milliseconds since 1970')
    } catch (error) {
      return asRefusal(error, 'the clock of this client cannot be read')
    }
  }
}
