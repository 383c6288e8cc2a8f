/** A decision engine in this process, for tests and for clusters that live in one process: it is gone with it. */
import { randomBytes } from 'node:crypto'
import type { Register } from '../../proto/machine/engine-port.ts'
import { checkSize, checkTrust, type EngineClient, type EngineReport, valueBytesMax } from './client.ts'

/** What the servers of one process share. */
export class MemoryRegisters {
  readonly instance: string = randomBytes(8).toString('hex')
  readonly #values = new Map<string, Uint8Array>()
  /** Nobody is answered while it is. */
  isDown = false

  get(key: string): Uint8Array | undefined {
    this.#mustAnswer()
    return this.#values.get(key)
  }

  /** @returns what the register holds from now on */
  fill(key: string, value: Uint8Array): Uint8Array {
    const held = this.get(key)
    if (held !== undefined) return held
    this.#values.set(key, Buffer.from(value))
    return value
  }

  #mustAnswer(): void {
    if (this.isDown) throw new Error('it is down')
  }
}

export class MemoryEngine implements EngineClient {
  readonly id: string
  readonly type = 'memory'
  readonly #registers: MemoryRegisters

  constructor(id: string, registers: MemoryRegisters) {
    this.id = id
    this.#registers = registers
  }

  async check(): Promise<EngineReport> {
    this.#registers.get('')
    const text = 'decisions live in this process and are gone with it'
    return { instance: this.#registers.instance, findings: [{ verdict: 'warn', text }] }
  }

  async propose(register: Register, value: Uint8Array, instance: string): Promise<Uint8Array> {
    checkSize(value, valueBytesMax)
    checkTrust(await this.check(), instance)
    return this.#registers.fill(keyOf(register), value)
  }

  async read(register: Register, instance: string): Promise<Uint8Array | null> {
    checkTrust(await this.check(), instance)
    return this.#registers.get(keyOf(register)) ?? null
  }

  async close(): Promise<void> {}
}

function keyOf({ cluster, topic, epoch }: Register): string {
  return `${cluster} ${topic} ${epoch}`
}
