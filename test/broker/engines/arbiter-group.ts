/** Three arbiters as on three servers: frames between them and who proposes take a moment and may be lost, and an arbiter that was
 *  killed comes back with what it had written. */
import { Arbiter } from '../../../broker/engines/arbiter.ts'
import { type ArbiterAnswer, Arbiters } from '../../../broker/engines/arbiters.ts'
import { limits } from '../../../broker/host.ts'
import type { Decision, Member } from '../../../proto/configuration.ts'
import { address, type Epoch, type TopicName } from '../../../proto/ids.ts'
import { type Effect, tickMs } from '../../../proto/machine/contract.ts'
import { decodeRecord } from '../../../proto/wire/codec.ts'
import type { MessageTo } from '../../../proto/wire/messages.ts'
import type { ArbiterRecord } from '../../../proto/wire/records.ts'
import { type EngineUnderTest, memberOf, type Proposer } from './conformance.ts'
import { hostOf, pass } from './outside-proposer.ts'

interface Node {
  readonly member: Member
  readonly records: Uint8Array[]
  arbiter: Arbiter | null
  /** What it has not taken yet, while it is frozen. */
  held: (() => void)[] | null
}

export class ArbiterGroup implements EngineUnderTest {
  readonly survives = true
  readonly nodes: readonly Node[] = ['p', 'q', 'r'].map((id) => ({
    member: memberOf(id),
    records: [],
    arbiter: new Arbiter(),
    held: null,
  }))
  #victim = 0

  async proposer(at: number): Promise<Proposer> {
    return new GroupProposer(this, at)
  }

  async crash(): Promise<void> {
    this.#victim = (this.#victim + 1) % this.nodes.length
    this.#hit().arbiter = null
  }

  async recover(): Promise<void> {
    const node = this.#hit()
    node.arbiter = new Arbiter()
    for (const record of node.records) node.arbiter.recover(decodeRecord(record) as ArbiterRecord)
  }

  async freeze(): Promise<void> {
    this.#hit().held = []
  }

  async thaw(): Promise<void> {
    const node = this.#hit()
    const held = node.held ?? []
    node.held = null
    for (const take of held) take()
  }

  async close(): Promise<void> {}

  /** One arbiter takes one frame, and writes before it answers. */
  deliver(node: Node, token: number, message: MessageTo<'arbiter'>, answer: (answer: ArbiterAnswer) => void): void {
    if (node.held !== null) {
      node.held.push(() => this.deliver(node, token, message, answer))
      return
    }
    const out: Effect[] = []
    node.arbiter?.take(address('proposer:1'), token, message, out)
    for (const effect of out) {
      if (effect.kind === 'persist') node.records.push(Buffer.from(effect.bytes))
      if (effect.kind === 'send') answer(effect.message as ArbiterAnswer)
    }
  }

  #hit(): Node {
    const node = this.nodes[this.#victim]
    if (node === undefined) throw new Error('no arbiter')
    return node
  }
}

class GroupProposer implements Proposer {
  readonly #group: ArbiterGroup
  readonly #host: ReturnType<typeof hostOf>
  readonly #arbiters: Arbiters
  readonly #timer: NodeJS.Timeout
  #lossPercent = 0

  constructor(group: ArbiterGroup, at: number) {
    this.#group = group
    this.#host = hostOf(at)
    this.#arbiters = new Arbiters(this.#host, limits, () => group.nodes.map(({ member }) => member))
    this.#timer = setInterval(() => this.#run((out) => pass(this.#host.timers, out)), tickMs)
  }

  propose(topic: TopicName, epoch: Epoch, decision: Decision): Promise<Decision> {
    return new Promise((resolve) => {
      const listener = { ready: () => {}, decided: resolve, closed: () => {} }
      this.#run((out) => this.#arbiters.open(topic, epoch, listener, out).propose(decision, out))
    })
  }

  lose(percent: number): void {
    this.#lossPercent = percent
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer)
  }

  #run(step: (out: Effect[]) => void): void {
    const out: Effect[] = []
    step(out)
    for (const effect of out) {
      if (effect.kind !== 'send') continue
      const { message, token } = effect
      for (const node of this.#group.nodes) {
        if (effect.to.includes(node.member.address)) this.#send(node, token, message as MessageTo<'arbiter'>)
      }
    }
  }

  #send(node: Node, token: number, message: MessageTo<'arbiter'>): void {
    if (this.#isLost()) return
    setImmediate(() =>
      this.#group.deliver(node, token, message, (answer) => {
        if (this.#isLost()) return
        setImmediate(() => this.#run((out) => this.#arbiters.take(node.member.name, token, answer, out)))
      }),
    )
  }

  #isLost(): boolean {
    return Math.random() * 100 < this.#lossPercent
  }
}
