/**
 * Add at a server: store in sequence, acknowledge cumulatively once on disk.
 *
 * Source: Figures 4 to 6, "Upon <store, m> request at server and not wedged: save m to local store and return ACK".
 * Departs from it: a whole batch is one store; a publisher's batches are taken only in sequence, so that the set of an epoch
 * is a prefix vector; acknowledgements are cumulative and leave once per turn.
 */
import { crc32 } from 'node:zlib'
import type { Address, Epoch, PublisherId } from '../../proto/ids.ts'
import { type Effect, send } from '../../proto/machine/contract.ts'
import type { Sync } from '../../proto/sync.ts'
import type { Batch, Refusal } from '../../proto/wire/messages.ts'
import type { Limits } from '../host.ts'
import type { Sequencer } from '../services/sequencer.ts'
import type { OpenedEpoch, TopicState } from './topic-state.ts'

const sequenceMax = 2 ** 40
const entryBytesMin = 2

export type Verdict = 'stored' | 'repeated' | 'early' | Refusal

export class Intake {
  readonly #state: TopicState
  readonly #limits: Limits
  /** What an acknowledgement says of itself where it is not on disk yet. */
  readonly #meaning: { readonly sync?: Sync }
  /** Who gets an acknowledgement at the end of this turn. */
  readonly #acknowledge = new Map<PublisherId, Address>()
  /** Who is told at the end of this turn which batch is expected. */
  readonly #early = new Map<PublisherId, Address>()
  /** Publishers whose prefix grew in this turn. */
  readonly changed = new Set<PublisherId>()
  /** Publishers of the opened epoch and where they were heard from last: they are told when it moves. */
  readonly publishers = new Map<PublisherId, Address>()
  /** Of the opened epoch, where this process orders it. */
  sequencer: Sequencer | null = null

  constructor(state: TopicState, limits: Limits, sync: Sync) {
    this.#state = state
    this.#limits = limits
    this.#meaning = sync === 'always' ? {} : { sync }
  }

  /** Another epoch has been opened: its publishers begin at 1. */
  reset(): void {
    this.#acknowledge.clear()
    this.#early.clear()
    this.changed.clear()
    this.publishers.clear()
  }

  /** A publisher's batch. Answers nothing yet: acknowledgements leave at the end of the turn. */
  add(from: Address, batch: Batch, bytes: Uint8Array, out: Effect[]): Verdict {
    const verdict = this.take(batch, bytes, out)
    if (verdict === 'stored' || verdict === 'repeated') {
      this.publishers.set(batch.publisher, from)
      this.#acknowledge.set(batch.publisher, from)
    }
    if (verdict === 'early') this.#early.set(batch.publisher, from)
    return verdict
  }

  /** Stores a batch if it is its publisher's next one; also how repair stores. */
  take(batch: Batch, bytes: Uint8Array, out: Effect[]): Verdict {
    const { opened } = this.#state
    if (opened === null) return 'not-yet'
    const end = opened.holdings.endOf(batch.publisher)
    if (batch.last <= end && batch.first <= batch.last) return 'repeated'
    if (batch.first > end + 1) return 'early'
    if (batch.first !== end + 1 || !isSound(batch)) return 'bad-batch'
    if (this.#isOneTooMany(opened, batch.publisher)) return 'too-many-publishers'
    if (!this.#state.store(batch, bytes, out)) return 'disk-full'
    this.changed.add(batch.publisher)
    this.sequencer?.stored(batch)
    return 'stored'
  }

  /** Whether the epoch should be rolled before it has no room for new publishers. */
  get crowded(): boolean {
    return (this.#state.opened?.holdings.publisherCount ?? 0) * 4 >= this.#limits.publishersMax * 3
  }

  /** The end of a turn: one acknowledgement per publisher that sent something. */
  settle(out: Effect[]): void {
    const { opened, topic } = this.#state
    if (opened !== null && opened.wedgedFor === null) {
      const epoch = opened.configuration.epoch
      for (const [publisher, to] of this.#acknowledge) {
        const end = opened.holdings.endOf(publisher)
        send(out, to, { kind: 'stored', topic, epoch, publisher, end, ...this.#meaning })
      }
      this.#tellExpected(opened, epoch, out)
    }
    this.#acknowledge.clear()
    this.#early.clear()
    this.changed.clear()
  }

  #tellExpected(opened: OpenedEpoch, epoch: Epoch, out: Effect[]): void {
    const { topic } = this.#state
    for (const [publisher, to] of this.#early) {
      send(out, to, { kind: 'expected', topic, epoch, publisher, next: opened.holdings.endOf(publisher) + 1 })
    }
  }

  #isOneTooMany(opened: OpenedEpoch, publisher: PublisherId): boolean {
    return opened.holdings.publisherCount >= this.#limits.publishersMax && !opened.holdings.has(publisher)
  }
}

/** Whether the range can be what the body holds (an entry takes two bytes at least), and the body is what was sent. */
function isSound({ first, last, body, check }: Batch): boolean {
  if (first < 1 || last < first || last > sequenceMax || (last - first + 1) * entryBytesMin > body.length) return false
  return crc32(body) === check
}
