/**
 * Where reading begins.
 *
 * At a time: epochs that ended long before it are skipped by looking at one batch each, in a binary search; of the epoch in which
 * reading begins, batches before the time are read and left out. So it costs about log2(epochs) round trips and at most the
 * bytes of one epoch or two. Times are the publishers' own: an epoch is skipped only when the next one began a minute before the
 * time that is asked for.
 */

import { didYouMean } from '../proto/closest.ts'
import { refusal } from '../proto/door/refusal.ts'
import { EpochcastError } from '../proto/errors.ts'
import { type ClusterId, type Epoch, epoch, type TopicName } from '../proto/ids.ts'
import type { Loop } from '../proto/machine/loop.ts'
import { emptySet } from '../proto/message-set.ts'
import { shown } from '../proto/shown.ts'
import type { Message } from '../proto/wire/messages.ts'
import { type Cursor, type Position, parseCursor } from './cursor.ts'
import type { EpochFollower } from './follower.ts'
import type { ClientCall, ClientMachine } from './machine.ts'
import type { Consumer, Delivery, StartAt } from './operations/delivery.ts'
import type { Registrations } from './registrations.ts'

/** Everything that is kept; what comes from now on; behind a cursor; what was published at a time or later; an epoch. */
export type From = 'start' | 'new' | Cursor | { readonly time: number | Date } | { readonly epoch: number }

export const placeHint = "'start', 'new', a cursor, { time } in milliseconds or as a Date, or { epoch }"

const skewMaxMs = 60_000

/** What a reader asked for, as it is found: a position, or the time that one is looked for. */
export type Start = StartAt | { readonly timeMs: number }

/** @throws EpochcastError `EC_BAD_ARGUMENT` for a cursor that is none of this topic, `EC_OTHER_CLUSTER` for one of another cluster */
export function startOf(cluster: ClusterId | '', topic: TopicName, from: From): Start {
  if (from === 'start' || from === 'new') return from
  if (typeof from === 'string') {
    const near = didYouMean(from, ['start', 'new'])
    if (near !== '') throw refusal(`${shown(from)} is no place to begin${near}`, placeHint)
    return parseCursor(cluster, topic, from)
  }
  return 'epoch' in from ? { epoch: epoch(from.epoch), seen: emptySet } : { timeMs: Number(from.time) }
}

export function isTime(start: Start): start is { readonly timeMs: number } {
  return typeof start === 'object' && 'timeMs' in start
}

/** The position that is known from the beginning, if there is one. */
export function knownPosition(start: Start): Position | null {
  return typeof start === 'string' || isTime(start) ? null : start
}

/**
 * Finds the epoch in which reading from a time begins.
 * @param registered of what reads: at its end this gives up, with `EC_ABORTED`
 */
export function epochAt(
  topic: TopicName,
  timeMs: number,
  machine: ClientMachine,
  loop: Loop<ClientCall>,
  registered: Registrations,
): Promise<Epoch> {
  const follower = machine.follower(topic)
  return new Promise((resolve, reject) => {
    registered.add(() => {
      loop.call(() => follower.remove(once))
      reject(new EpochcastError('EC_ABORTED', `looking for the beginning in ${topic} was given up`))
    })
    const once: EpochFollower = {
      begun: (configuration) => {
        follower.remove(once)
        search(configuration.floor, configuration.epoch, timeMs - skewMaxMs, firstTime).then(resolve, reject)
      },
      moved: () => {},
      failed: (error) => {
        follower.remove(once)
        reject(error)
      },
    }
    loop.call((out) => follower.add(once, out))
  })

  /** Time of the first batch of an epoch that is over; null when it has none. */
  function firstTime(of: Epoch): Promise<number | null> {
    return new Promise((resolve) => {
      const message: Message = { kind: 'pull', topic, epoch: of, since: emptySet, bytesMax: 1, resume: 0 }
      const to = () => machine.servers.inOrder(follower.addresses())
      let first: number | null = null
      const answer = (reply: Message): boolean => {
        if (reply.kind === 'batch') first ??= reply.time
        if (reply.kind !== 'pulled' || reply.unheld) return false
        resolve(first)
        return true
      }
      loop.call((out) => {
        if (registered.isOver) return
        const token = machine.requests.ask({ message, to, answer }, out)
        registered.add(() => machine.requests.withdraw(token))
      })
    })
  }
}

/**
 * The last epoch that is over, is not empty, and began before a time; else the floor. Everything in the epochs before it is older.
 * @param firstTime of an epoch that is over; null when it is empty
 */
export async function search(
  floor: Epoch,
  newest: Epoch,
  beforeMs: number,
  firstTime: (of: Epoch) => Promise<number | null>,
): Promise<Epoch> {
  let best: number = floor
  let low: number = floor
  let high = newest - 1
  while (low < high) {
    const middle = Math.ceil((low + high) / 2)
    let at = middle
    let first = await firstTime(epoch(at))
    while (first === null && at - 1 > low) first = await firstTime(epoch(--at))
    if (first !== null && first > beforeMs) high = at - 1
    else {
      if (first !== null) best = at
      low = middle
    }
  }
  return epoch(best)
}

/** Leaves out what was published before a time; the reader's position goes on behind it. */
export class SinceTime implements Consumer {
  readonly #consumer: Consumer
  readonly #timeMs: number
  readonly #leftOut: (bytes: number) => void

  constructor(consumer: Consumer, timeMs: number, leftOut: (bytes: number) => void) {
    this.#consumer = consumer
    this.#timeMs = timeMs
    this.#leftOut = leftOut
  }

  deliver(delivery: Delivery): void {
    if (delivery.kind !== 'batch' || delivery.batch.time >= this.#timeMs) {
      this.#consumer.deliver(delivery)
      return
    }
    const { epoch: of, publisher, last, body } = delivery.batch
    const seen = new Map([[publisher, { end: last, digest: 0 }]])
    this.#consumer.deliver({ kind: 'position', position: { epoch: of, seen } })
    this.#leftOut(body.length)
  }

  failed(error: EpochcastError): void {
    this.#consumer.failed(error)
  }
}
