/**
 * The topics of one server by whether time means anything to them. Most have nothing to do but to take what comes; a server of
 * thousands would spend a core on telling them that ten milliseconds have passed. They are told at every tick while something
 * in them waits for time, else now and then: whoever missed the moment to wake one has only made it late.
 */
import type { TopicName } from '../../proto/ids.ts'
import type { Effect } from '../../proto/machine/contract.ts'
import type { Replica } from './replica.ts'

/** Ticks in which each quiet topic is told once. */
const roundTicks = 20

export class Wakeful {
  readonly #replicas = new Map<TopicName, Replica>()
  readonly #list: Replica[] = []
  readonly #awake = new Set<Replica>()
  /** Next of the list to be told in the present round. */
  #at = 0
  #aliveCount = 0

  get all(): readonly Replica[] {
    return this.#list
  }

  /** The replica of a topic without waking it: for looking at. */
  peek(topic: TopicName): Replica | undefined {
    return this.#replicas.get(topic)
  }

  /** The replica of a topic, to be told something. */
  get(topic: TopicName): Replica | undefined {
    const replica = this.#replicas.get(topic)
    if (replica !== undefined) this.#awake.add(replica)
    return replica
  }

  add(topic: TopicName, replica: Replica): void {
    this.#replicas.set(topic, replica)
    this.#list.push(replica)
    this.#awake.add(replica)
  }

  /** Something happened that may concern any of them. */
  wakeAll(): void {
    for (const replica of this.#list) this.#awake.add(replica)
  }

  /**
   * One tick for those that wait for time, and for some of the others.
   * @param aliveCount servers that answer: when it changes, members may have to be replaced
   */
  tick(aliveCount: number, told: (replica: Replica) => void, out: Effect[]): void {
    if (aliveCount !== this.#aliveCount) this.wakeAll()
    this.#aliveCount = aliveCount
    const sleeping = this.#nextOfRound()
    for (const replica of this.#awake) {
      replica.tick(out)
      told(replica)
      if (replica.isQuiet) this.#awake.delete(replica)
    }
    for (const replica of sleeping) {
      replica.tick(out)
      told(replica)
      if (!replica.isQuiet) this.#awake.add(replica)
    }
  }

  #nextOfRound(): Replica[] {
    const end = Math.min(this.#list.length, this.#at + Math.ceil(this.#list.length / roundTicks))
    const some = this.#list.slice(this.#at, end).filter((replica) => !this.#awake.has(replica))
    this.#at = end >= this.#list.length ? 0 : end
    return some
  }
}
