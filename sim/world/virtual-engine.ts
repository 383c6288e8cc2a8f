/**
 * A decision engine outside of the cluster, as a world has it: write-once registers that are away, slow, deaf or lose what they
 * are asked or what they answer, when and as often as the test says. One of its registers never changes.
 */
import type { Epoch, TopicName } from '../../proto/ids.ts'
import type { EngineAnswer, EngineCall, Register } from '../../proto/machine/engine-port.ts'
import type { EventQueue } from './event-queue.ts'

export class VirtualEngine {
  readonly id: string
  instance: string
  /** Does not take anything, and whoever asks hears that. */
  isDown = false
  /** Takes everything, and nobody hears anything. */
  isSilent = false
  /** Milliseconds until it takes what it is asked, and as long again until it has answered; a number each time. */
  delay: () => number = () => 0
  readonly #queue: EventQueue
  readonly #registers = new Map<string, Uint8Array>()
  readonly #decided: (register: Register, value: Uint8Array) => void
  #unheard = 0
  #unanswered = 0
  #instances = 0

  /** @param decided told of every value that a register gets */
  constructor(id: string, queue: EventQueue, decided: (register: Register, value: Uint8Array) => void = () => {}) {
    this.id = id
    this.#queue = queue
    this.#decided = decided
    this.instance = this.#newInstance()
  }

  /** The next so many proposals and reads do not reach it; nobody hears anything. */
  loseCalls(count: number): void {
    this.#unheard += count
  }

  /** The next so many are taken, and nobody hears of it. */
  loseAnswers(count: number): void {
    this.#unanswered += count
  }

  /** Comes back without its registers: another instance. */
  forget(): void {
    this.#registers.clear()
    this.instance = this.#newInstance()
  }

  /** What ended an epoch, if it is decided. */
  holds(topic: TopicName, epoch: Epoch): Uint8Array | null {
    for (const [key, value] of this.#registers) if (key.endsWith(` ${topic} ${epoch}`)) return value
    return null
  }

  ask(call: EngineCall, answer: (answer: EngineAnswer) => void): void {
    if (call.kind !== 'check' && this.#unheard > 0) {
      this.#unheard--
      return
    }
    this.#after(() => {
      const told = this.#take(call)
      if (this.isSilent) return
      if (call.kind !== 'check' && this.#unanswered > 0) this.#unanswered--
      else this.#after(() => answer(told))
    })
  }

  /** What takes time does not keep a world from being quiet. */
  #after(run: () => void): void {
    const delay = this.delay()
    this.#queue.after(delay, run, delay > 0)
  }

  #take(call: EngineCall): EngineAnswer {
    if (this.isDown) return { kind: 'unknown', reason: 'it is down' }
    if (call.kind === 'check') return { kind: 'checked', instance: this.instance, findings: [] }
    if (call.instance !== this.instance) return { kind: 'refused', reason: 'it has lost its registers' }
    const key = keyOf(call.register)
    const held = this.#registers.get(key)
    if (held !== undefined) return { kind: 'holds', value: held }
    if (call.kind === 'read') return { kind: 'empty' }
    const value = Buffer.from(call.value)
    this.#registers.set(key, value)
    this.#decided(call.register, value)
    return { kind: 'holds', value: call.value }
  }

  #newInstance(): string {
    return (++this.#instances).toString(16).padStart(16, '0')
  }
}

function keyOf({ cluster, topic, epoch }: Register): string {
  return `${cluster} ${topic} ${epoch}`
}
