/** The engines of one server, as the loop of its machine asks them: every try ends in time, in one answer. */
import { unreachable } from '../../proto/errors.ts'
import type { EngineAnswer, EngineCall, EnginePort } from '../../proto/machine/engine-port.ts'
import { type EngineClient, EngineDistrust } from './client.ts'
import type { OutsideEngine } from './outside.ts'

const tryTimeoutMs = 2_000

export class EngineClients implements EnginePort {
  readonly #clients: ReadonlyMap<string, EngineClient>
  readonly #timeoutMs: number
  #isClosed = false

  constructor(clients: readonly EngineClient[], timeoutMs: number = tryTimeoutMs) {
    this.#clients = new Map(clients.map((client) => [client.id, client]))
    this.#timeoutMs = timeoutMs
  }

  get engines(): OutsideEngine[] {
    return [...this.#clients.values()].map(({ id, type }) => ({ id, type }))
  }

  ask(engine: string, call: EngineCall, answer: (answer: EngineAnswer) => void): void {
    const client = this.#clients.get(engine)
    if (client === undefined) return answer({ kind: 'refused', reason: `this server has no engine ${engine}` })
    void this.#within(perform(client, call)).then((told) => {
      if (!this.#isClosed) answer(told)
    })
  }

  /** Nobody is answered any more. */
  async close(): Promise<void> {
    this.#isClosed = true
    await Promise.all([...this.#clients.values()].map((client) => client.close()))
  }

  /** What comes later than that is not heard: it counts when the same is asked again. */
  #within(tried: Promise<EngineAnswer>): Promise<EngineAnswer> {
    return new Promise((resolve) => {
      const late = () => resolve({ kind: 'unknown', reason: `no answer within ${this.#timeoutMs} ms` })
      const timer = setTimeout(late, this.#timeoutMs)
      tried.then(resolve, (error: unknown) => resolve(failure(error))).finally(() => clearTimeout(timer))
    })
  }
}

async function perform(client: EngineClient, call: EngineCall): Promise<EngineAnswer> {
  switch (call.kind) {
    case 'check':
      return { kind: 'checked', ...(await client.check()) }
    case 'read': {
      const value = await client.read(call.register, call.instance)
      return value === null ? { kind: 'empty' } : { kind: 'holds', value }
    }
    case 'propose':
      return { kind: 'holds', value: await client.propose(call.register, call.value, call.instance) }
    default:
      return unreachable(call)
  }
}

function failure(error: unknown): EngineAnswer {
  const reason = error instanceof Error ? error.message : String(error)
  if (error instanceof EngineDistrust) return { kind: 'refused', reason, findings: error.findings }
  return { kind: 'unknown', reason }
}
