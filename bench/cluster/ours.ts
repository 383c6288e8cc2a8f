/** This product as the comparison sees it: one topic on three servers. */
import { serverIdOf } from '../../proto/ids.ts'
import { type Membership, planChange, plannedKinds } from '../epochs/kinds.ts'
import type { TargetSpec } from '../load/target.ts'
import type { Peer } from '../rivals/peer.ts'
import type { Session } from '../session.ts'
import { Cluster } from './cluster.ts'

const topic = 'bench-0'
const members = 3

export class Ours implements Peer {
  readonly #session: Session
  readonly #cluster: Cluster
  #membership: Membership
  #changes = 0

  private constructor(session: Session, cluster: Cluster) {
    this.#session = session
    this.#cluster = cluster
    this.#membership = { mode: 'fault-masking', members: cluster.ids.slice(0, members) }
  }

  /** @param spares servers that changes may choose beside the members */
  static async start(session: Session, spares: number): Promise<Ours> {
    const cluster = await Cluster.start(session, { servers: members + spares, serveArgs: [], transport: 'tcp' })
    const ours = new Ours(session, cluster)
    try {
      await cluster.createTopics([topic], ours.#membership.mode, ours.#membership.members)
      return ours
    } catch (error) {
      await cluster.stop()
      throw error
    }
  }

  get target(): TargetSpec {
    return { kind: 'epochcast', url: this.#cluster.url, topics: [topic] }
  }

  get cpuSeconds(): number {
    return this.#cluster.cpuSeconds
  }

  get memory() {
    return this.#cluster.memory
  }

  /** An epoch change, of each planned kind by turns: what others call moving the leader. */
  async moveLead(): Promise<void> {
    const kind = plannedKinds[this.#changes++ % plannedKinds.length] ?? 'same'
    const { next } = planChange(kind, this.#membership, this.#cluster.ids)
    const { signal } = this.#session
    await this.#cluster.admin.reconfigure(topic, { ...next, signal }).enabled
    this.#membership = next
  }

  async harmLeader(how: 'kill' | 'freeze'): Promise<() => Promise<void>> {
    const { members: now } = await this.#cluster.admin.topic(topic, { signal: this.#session.signal })
    const [first] = now
    if (first === undefined) throw new Error(`${topic} has no members`)
    const id = serverIdOf(first.name)
    if (how === 'kill') await this.#cluster.kill(id)
    else this.#cluster.freeze(id)
    return async () => {
      if (how === 'kill') await this.#cluster.restart(id)
      else this.#cluster.thaw(id)
    }
  }

  async stop(): Promise<void> {
    await this.#cluster.stop()
  }
}
