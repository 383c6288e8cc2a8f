/**
 * Decision engines outside of the cluster, seen from a server that proposes or asks: Redis, JetStream, whatever keeps write-once
 * registers. A machine like the others: a try is an effect, its answer an input, and time is ticks.
 *
 * Source: the "consensus engine" of Figures 4 and 5, `propose` and "upon learning (M', S) from decide()".
 * Departs from it: an answer that does not come leaves open what happened, so the same bytes are proposed again until one comes;
 * what a register holds is believed, what it does not show is not: a stale view may still say that it is empty.
 */
import type { Configuration, Decision } from '../../proto/configuration.ts'
import { type Decider, engineDecider, outsideEngine } from '../../proto/decider.ts'
import { EpochcastError } from '../../proto/errors.ts'
import { beforeFirst, type ClusterId, type Epoch, type TopicName } from '../../proto/ids.ts'
import type { Effect } from '../../proto/machine/contract.ts'
import type { EngineAnswer, EngineCall } from '../../proto/machine/engine-port.ts'
import type { Timer } from '../../proto/machine/timers.ts'
import { decodeMessage, messageBytes } from '../../proto/wire/codec.ts'
import type { EngineState, Finding } from '../../proto/wire/messages.ts'
import type { Host } from '../host.ts'
import type { ServerTimers } from '../timers.ts'
import type { Proposal, ProposalListener } from './engine.ts'

/** An engine that this server has, by its configuration. */
export interface OutsideEngine {
  readonly id: string
  /** What it is, for people: `redis`, `jetstream`, `memory`. */
  readonly type: string
}

const readyCheckTicks = 1_000
const failedCheckTicks = 100
const reasonBytesMax = 400

export class OutsideEngines {
  readonly #host: Host
  readonly #cluster: () => ClusterId | ''
  readonly #engines: ReadonlyMap<string, Health>
  readonly #questions = new Map<number, Asked>()

  constructor(host: Host, engines: readonly OutsideEngine[], cluster: () => ClusterId | '') {
    this.#host = host
    this.#cluster = cluster
    this.#engines = new Map(engines.map((engine) => [engine.id, new Health(engine, host.timers)]))
  }

  /** This server may speak: it looks from now on how its engines are. */
  begin(): void {
    for (const health of this.#engines.values()) health.begin()
  }

  /** Whether this server may ask the engine that decides. */
  has(decider: Decider): boolean {
    const engine = outsideEngine(decider)
    return engine === null || this.#engines.has(engine.id)
  }

  /**
   * The decider with the instance that answers now, as it goes into a configuration.
   * @throws EpochcastError `EC_NO_DECIDER` where this server does not have the engine, or has not reached it
   */
  resolve(decider: Decider): Decider {
    const engine = outsideEngine(decider)
    if (engine === null || engine.instance !== null) return decider
    const health = this.#engines.get(engine.id)
    if (health === undefined) throw this.unknown(engine.id)
    const { instance, ready, findings } = health.state
    if (ready && instance !== undefined) return engineDecider(engine.id, instance)
    const why = findings.find(({ verdict }) => verdict === 'fail')?.text ?? 'it has not answered yet'
    throw new EpochcastError('EC_NO_DECIDER', `engine ${engine.id} cannot decide: ${why}`, {
      hint: 'epochcast doctor shows how each server sees it',
    })
  }

  unknown(id: string): EpochcastError {
    const known = [...this.#engines.keys()].join(', ')
    return new EpochcastError('EC_NO_DECIDER', `server ${this.#host.self.name} has no engine ${id}`, {
      hint: `name it under engines in its configuration, and restart it${known === '' ? '' : `; it has ${known}`}`,
    })
  }

  /** How they were when they were asked last; they are asked again, for whoever looks once more. */
  states(): EngineState[] {
    for (const health of this.#engines.values()) health.look()
    return [...this.#engines.values()].map(({ state }) => state)
  }

  /** The caller has made sure that `decider` is an engine that this server has. */
  open(decider: Decider, topic: TopicName, epoch: Epoch, listener: ProposalListener, out: Effect[]): Proposal {
    const token = this.#host.nextToken()
    const { id, instance } = outsideEngine(decider) ?? { id: '', instance: null }
    const cluster = this.#cluster()
    if (cluster === '') throw new Error('a server without a cluster proposes')
    const register = { cluster, topic, epoch }
    const ask = (value: Uint8Array | null, into: Effect[]) => {
      const at = { register, instance: instance ?? '' }
      const call: EngineCall = value === null ? { kind: 'read', ...at } : { kind: 'propose', ...at, value }
      into.push({ kind: 'engine', engine: id, token, call })
    }
    const stop = () => this.#questions.delete(token)
    const asked = new Asked(id, topic, epoch, listener, this.#host, ask, stop)
    this.#questions.set(token, asked)
    asked.ask(out)
    return asked
  }

  /** Asks how an epoch ended, until that is known or somebody says so elsewhere. One question for each. */
  learn(of: Configuration, done: (decision: Decision, out: Effect[]) => void, out: Effect[]): void {
    const key = `${of.topic} ${of.epoch}`
    for (const question of this.#questions.values()) if (question.key === key) return
    if (!this.has(of.decider)) return
    const once: { proposal: Proposal | null } = { proposal: null }
    const listener: ProposalListener = {
      // Nothing there yet: whoever asks will ask again.
      ready: () => once.proposal?.cancel(),
      decided: done,
      closed: () => {},
    }
    once.proposal = this.open(of.decider, of.topic, of.epoch, listener, out)
  }

  take(engine: string, token: number, answer: EngineAnswer, out: Effect[]): void {
    const health = this.#engines.get(engine)
    if (answer.kind === 'checked') health?.checked(answer)
    else if (answer.kind === 'unknown' || answer.kind === 'refused') health?.failed(answer)
    this.#questions.get(token)?.take(answer, out)
  }
}

/** How one engine is, as this server sees it. */
class Health {
  state: EngineState
  readonly #timers: ServerTimers
  readonly #check: Timer
  /** When it was asked last. */
  #asked = Number.NEGATIVE_INFINITY

  constructor({ id, type }: OutsideEngine, timers: ServerTimers) {
    this.#timers = timers
    this.state = { id, type, ready: false, findings: [] }
    this.#check = timers.timer('engine-check', id, (out) => this.#ask(out))
  }

  begin(): void {
    this.#check.setIfStopped(1)
  }

  /** Somebody wants to know. */
  look(): void {
    if (this.#check.isSet) this.#check.setWithin(this.#asked + failedCheckTicks - this.#timers.now)
  }

  checked({ instance, findings }: EngineAnswer & { kind: 'checked' }): void {
    const ready = !findings.some(({ verdict }) => verdict === 'fail')
    this.state = { ...this.state, instance, ready, findings: findings.map(clip) }
    this.#check.set(this.#pauseTicks)
  }

  failed(answer: EngineAnswer & { kind: 'unknown' | 'refused' }): void {
    const told = answer.kind === 'refused' ? answer.findings : undefined
    const findings = told ?? [{ verdict: 'fail' as const, text: answer.reason }]
    this.state = { ...this.state, ready: false, findings: findings.map(clip) }
    this.#check.setWithin(failedCheckTicks)
  }

  get #pauseTicks(): number {
    return this.state.ready ? readyCheckTicks : failedCheckTicks
  }

  #ask(out: Effect[]): void {
    this.#asked = this.#timers.now
    this.#check.set(this.#pauseTicks)
    out.push({ kind: 'engine', engine: this.state.id, token: 0, call: { kind: 'check' } })
  }
}

/** What others say of themselves has any length. */
function clip({ verdict, text, hint }: Finding): Finding {
  const shortHint = hint?.slice(0, reasonBytesMax)
  return { verdict, text: text.slice(0, reasonBytesMax), ...(shortHint !== undefined && { hint: shortHint }) }
}

const firstPauseTicks = 5
const pauseTicksMax = 200
/** An answer that has not come by then never will; one that comes all the same counts. */
const silenceTicks = 250

/** One register, asked again until it says what it holds. */
class Asked implements Proposal {
  readonly key: string
  readonly #engine: string
  readonly #topic: TopicName
  readonly #epoch: Epoch
  readonly #listener: ProposalListener
  readonly #host: Host
  readonly #try: (value: Uint8Array | null, out: Effect[]) => void
  readonly #stop: () => void
  /** After a pause, asks again; while a try is under way, gives its answer up. */
  readonly #again: Timer
  #isPausing = false
  #isOver = false
  #value: Uint8Array | null = null
  #isReady = false
  #reason = ''
  #failures = 0

  constructor(
    engine: string,
    topic: TopicName,
    epoch: Epoch,
    listener: ProposalListener,
    host: Host,
    ask: (value: Uint8Array | null, out: Effect[]) => void,
    stop: () => void,
  ) {
    this.key = `${topic} ${epoch}`
    this.#engine = engine
    this.#topic = topic
    this.#epoch = epoch
    this.#listener = listener
    this.#host = host
    this.#try = ask
    this.#again = host.timers.timer('engine-again', this.key, (into) => this.#goOn(into))
    this.#stop = () => {
      this.#isOver = true
      this.#again.stop()
      stop()
    }
  }

  ask(out: Effect[]): void {
    if (this.#isOver) return
    this.#isPausing = false
    this.#again.set(silenceTicks)
    this.#try(this.#value, out)
  }

  /** The first value stays, for its outcome may be open. */
  propose(decision: Decision, out: Effect[]): void {
    const [topic, epoch] = [this.#topic, this.#epoch]
    this.#value ??= messageBytes({ kind: 'decided', topic, epoch, decision })
    this.ask(out)
  }

  cancel(): void {
    this.#stop()
  }

  take(answer: EngineAnswer, out: Effect[]): void {
    switch (answer.kind) {
      case 'holds':
        return this.#holds(answer.value, out)
      case 'empty':
        this.#failures = 0
        // What was proposed is not there yet, or this view of it is old: the same bytes go out again.
        if (this.#value !== null) this.#pause('does not show what was proposed to it', out)
        else if (!this.#isReady) {
          this.#isReady = true
          this.#reason = ''
          // Until something is proposed there is nothing to wait for.
          this.#again.stop()
          this.#listener.ready(out)
        }
        return
      case 'unknown':
      case 'refused':
        return this.#pause(answer.reason, out)
      case 'checked':
        return
    }
  }

  #goOn(out: Effect[]): void {
    if (this.#isPausing) this.ask(out)
    else this.#pause('does not answer', out)
  }

  #holds(value: Uint8Array, out: Effect[]): void {
    const decision = this.#decode(value)
    if (decision === null) return this.#pause('holds something that is no decision about this epoch', out)
    this.#stop()
    this.#listener.decided(decision, out)
  }

  #decode(value: Uint8Array): Decision | null {
    try {
      const message = decodeMessage(value)
      if (message.kind !== 'decided' || message.topic !== this.#topic || message.epoch !== this.#epoch) return null
      const { next } = message.decision
      return next.topic === this.#topic && next.epoch === this.#epoch + 1 ? message.decision : null
    } catch (error) {
      if (error instanceof EpochcastError) return null
      throw error
    }
  }

  #pause(reason: string, out: Effect[]): void {
    const pause = Math.min(pauseTicksMax, firstPauseTicks << Math.min(this.#failures, 10))
    this.#isPausing = true
    this.#again.set(pause + this.#host.random.below(pause))
    this.#failures++
    // One that fails once is asked again before anybody is told.
    if (this.#failures < 2 || reason === this.#reason) return
    this.#reason = reason
    const of = this.#epoch === beforeFirst ? '' : `, which decides how epoch ${this.#epoch} ends`
    const text = `waits for engine ${this.#engine}${of}: ${reason}`
    this.#listener.waiting?.(text.slice(0, reasonBytesMax), out)
  }
}
