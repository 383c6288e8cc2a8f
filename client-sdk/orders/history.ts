/**
 * What the part of an epoch that a subscription does not give says about the rest of it. Stamps are differences: whoever begins
 * in the middle has not seen those before, and what they name may still be to come. So it reads them, without bodies.
 */
import { CausalQueue } from '../../proto/causal-queue.ts'
import type { PublisherId } from '../../proto/ids.ts'
import { endOf, type MessageSet } from '../../proto/message-set.ts'
import type { Batch, Dependencies } from '../../proto/wire/messages.ts'

/** Causes that are not before the start, of one publisher's messages from `first` on. */
interface Version {
  readonly first: number
  readonly ends: ReadonlyMap<PublisherId, number>
  readonly others: ReadonlyMap<string, Other>
}

export class History {
  /** Everything before the start, without bodies, each publisher's in sequence. */
  readonly batches: readonly Batch[]
  readonly #versions = new Map<PublisherId, Version[]>()
  readonly #seen: MessageSet

  constructor(batches: readonly Batch[], seen: MessageSet) {
    this.batches = batches
    this.#seen = seen
    const queue = new CausalQueue<Batch>()
    for (const batch of batches) queue.add(batch)
    queue.close(seen)
    while (!queue.isEmpty) this.#learn(queue.take() ?? queue.takeByForce())
  }

  /** Causes of a publisher's messages before the start that are not before the start themselves. */
  causesBeyond(publisher: PublisherId): Dependencies | null {
    return this.causesOf(publisher, Number.MAX_SAFE_INTEGER)
  }

  /** Causes in other topics of everything before the start. */
  get others(): Dependencies['others'] {
    // What a publisher's batches name is inherited by its next ones: the newest version has all of it.
    return [...this.#versions.values()].flatMap((versions) => [...(versions.at(-1)?.others.values() ?? [])])
  }

  /** The same of those up to `end`: whoever names them names these causes, too. */
  causesOf(publisher: PublisherId, end: number): Dependencies | null {
    const version = this.#versionAt(publisher, end)
    if (version === undefined) return null
    return {
      own: [...version.ends].map(([of, far]) => ({ publisher: of, end: far })),
      others: [...version.others.values()],
    }
  }

  #learn(batch: Batch | undefined): void {
    const after = batch?.after
    if (batch === undefined || after === undefined) return
    const before = this.#versionAt(batch.publisher, Number.MAX_SAFE_INTEGER)
    const ends = new Map(before?.ends)
    const others = new Map(before?.others)
    for (const { publisher, end } of after.own) {
      const inherited = this.#versionAt(publisher, end)
      for (const [of, far] of inherited?.ends ?? []) raise(ends, of, far)
      for (const other of inherited?.others.values() ?? []) raiseOther(others, other)
      if (end > endOf(this.#seen, publisher)) raise(ends, publisher, end)
    }
    for (const other of after.others) {
      for (const end of other.ends) raiseOther(others, { ...other, ends: [end] })
    }
    if (ends.size === 0 && others.size === 0) return
    const versions = this.#versions.get(batch.publisher)
    const version = { first: batch.first, ends, others }
    if (versions === undefined) this.#versions.set(batch.publisher, [version])
    else versions.push(version)
  }

  #versionAt(publisher: PublisherId, number: number): Version | undefined {
    return this.#versions.get(publisher)?.findLast((version) => version.first <= number)
  }
}

function raise(ends: Map<PublisherId, number>, publisher: PublisherId, end: number): void {
  ends.set(publisher, Math.max(end, ends.get(publisher) ?? 0))
}

type Other = Dependencies['others'][number]

/** @param other names one publisher */
function raiseOther(others: Map<string, Other>, other: Other): void {
  const [end] = other.ends
  const key = `${other.topic} ${other.epoch} ${end?.publisher}`
  if ((others.get(key)?.ends[0]?.end ?? 0) < (end?.end ?? 0)) others.set(key, other)
}
