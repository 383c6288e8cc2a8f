/** A server's side of an engine outside of the cluster, without the rest of the server: its machine, its port, and real time. */

import { Audience } from '../../../broker/audience.ts'
import { Drops } from '../../../broker/drops.ts'
import type { EngineClient } from '../../../broker/engines/client.ts'
import { EngineClients } from '../../../broker/engines/clients.ts'
import { OutsideEngines } from '../../../broker/engines/outside.ts'
import { endlessRoom, type Host } from '../../../broker/host.ts'
import { Outlets } from '../../../broker/outlets.ts'
import type { ServerTimer } from '../../../broker/timers.ts'
import type { Decider, Decision } from '../../../proto/configuration.ts'
import { clusterId, type Epoch, type TopicName } from '../../../proto/ids.ts'
import { type Effect, tickMs } from '../../../proto/machine/contract.ts'
import { Timers } from '../../../proto/machine/timers.ts'
import { until } from '../../until.ts'
import { memberOf, type Proposer } from './conformance.ts'

const lossyTicks = 25
const cluster = clusterId('00000000-0000-4000-8000-0000000000c1')

export function hostOf(at: number): Host & { readonly timers: Timers<ServerTimer> } {
  let token = 0
  return {
    self: memberOf(String.fromCharCode(97 + at)),
    incarnation: at + 1,
    random: { below: (bound) => Math.floor(Math.random() * bound) },
    timers: new Timers<ServerTimer>(),
    nextToken: () => ++token,
    addressOf: (member) => member.address,
    isAlive: () => true,
    isSettled: () => true,
    alive: () => [],
    isFull: () => false,
    isCutOff: () => false,
    room: endlessRoom,
    audience: new Audience(new Timers(), 1, () => {}),
    outlets: new Outlets(),
    drops: new Drops(),
    sync: 'always',
    askDecider: () => {},
    askNewest: () => {},
    note: () => {},
    topicCount: () => 1,
    coordinate: () => {},
  }
}

/** One tick. */
export function pass(timers: Timers<ServerTimer>, out: Effect[]): void {
  timers.pass(timers.now + 1)
  timers.ring(out)
}

export class OutsideProposer implements Proposer {
  readonly #host: ReturnType<typeof hostOf>
  readonly #machine: OutsideEngines
  readonly #port: EngineClients
  readonly #timer: NodeJS.Timeout
  #decider: Decider = 'engine'
  #lossPercent = 0

  private constructor(client: EngineClient, at: number) {
    this.#port = new EngineClients([client])
    this.#host = hostOf(at)
    this.#machine = new OutsideEngines(this.#host, this.#port.engines, () => cluster)
    this.#machine.begin()
    this.#timer = setInterval(() => this.#tick(), tickMs)
  }

  /** Resolves when the engine is ready. */
  static async start(client: EngineClient, at: number): Promise<OutsideProposer> {
    const proposer = new OutsideProposer(client, at)
    await until(() => proposer.#machine.states().every(({ ready }) => ready), `${client.type} is ready`)
    proposer.#decider = proposer.#machine.resolve(`engine:${client.id}`)
    return proposer
  }

  propose(topic: TopicName, epoch: Epoch, decision: Decision): Promise<Decision> {
    return new Promise((resolve) => {
      const listener = { ready: () => {}, decided: resolve, closed: () => {} }
      this.#run((out) => this.#machine.open(this.#decider, topic, epoch, listener, out).propose(decision, out))
    })
  }

  lose(percent: number): void {
    this.#lossPercent = percent
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await this.#port.close()
  }

  /** Waiting for what was lost is no part of the test: time passes faster then. */
  #tick(): void {
    const ticks = this.#lossPercent > 0 ? lossyTicks : 1
    for (let turn = 0; turn < ticks; turn++) this.#run((out) => pass(this.#host.timers, out))
  }

  #run(step: (out: Effect[]) => void): void {
    const out: Effect[] = []
    step(out)
    for (const effect of out) {
      if (effect.kind !== 'engine' || this.#isLost()) continue
      const { engine, token, call } = effect
      this.#port.ask(engine, call, (answer) => {
        if (!this.#isLost()) this.#run((more) => this.#machine.take(engine, token, answer, more))
      })
    }
  }

  #isLost(): boolean {
    return Math.random() * 100 < this.#lossPercent
  }
}
