/** Many seeds, one process for each core; what they found, reached and cost. */
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { startModule } from '../../bench/child-process.ts'
import type { FaultId } from './fault-classes.ts'
import type { FailedSeed, Order, Share } from './share.ts'
import { addWork, noWork, type Work } from './work.ts'

export interface BatchOptions {
  /** First seed. */
  readonly from: number
  readonly seeds: number
  /** Ends earlier after this many seconds. */
  readonly seconds?: number
  readonly jobs: number
  readonly without?: readonly FaultId[]
  readonly progress?: (done: BatchResult) => void
  readonly signal?: AbortSignal
}

export interface BatchResult {
  /** Seeds that were run. */
  seeds: number
  /** Seeds that ran twice to the same events. */
  compared: number
  events: number
  readonly work: Work
  /** Time that all workers took of their processors. */
  cpuMs: number
  readonly failures: FailedSeed[]
  readonly reached: Map<FaultId, number>
  elapsedMs: number
}

const shareSeeds = 25
/** Nearly everything is garbage once its seed is over: collected seldom, little of it has to be moved. */
const memoryFlags = ['--min-semi-space-size=64', '--max-semi-space-size=64']
/** With so many failures there is enough to look at. */
const failuresMax = 20

export async function runBatch(options: BatchOptions): Promise<BatchResult> {
  const began = performance.now()
  const result: BatchResult = {
    seeds: 0,
    compared: 0,
    events: 0,
    work: noWork(),
    cpuMs: 0,
    failures: [],
    reached: new Map(),
    elapsedMs: 0,
  }
  let next = options.from
  const end = options.from + options.seeds
  const isOver = () =>
    next >= end ||
    options.signal?.aborted === true ||
    result.failures.length >= failuresMax ||
    (options.seconds !== undefined && performance.now() - began > options.seconds * 1000)
  const order = (): Order | null => {
    if (isOver()) return null
    const from = next
    next = Math.min(end, next + shareSeeds)
    return { from, to: next, without: options.without ?? [] }
  }
  const taken = (share: Share) => {
    result.seeds += share.seeds
    result.compared += share.compared
    result.events += share.events
    addWork(result.work, share.work)
    result.cpuMs += share.cpuMs
    result.failures.push(...share.failures)
    for (const [id, count] of share.reached) result.reached.set(id, (result.reached.get(id) ?? 0) + count)
    result.elapsedMs = performance.now() - began
    options.progress?.(result)
  }
  const workers = Math.max(1, Math.min(options.jobs, Math.ceil(options.seeds / shareSeeds)))
  await Promise.all(Array.from({ length: workers }, () => work(order, taken, options.signal)))
  result.failures.sort((one, other) => one.seed - other.seed)
  result.elapsedMs = performance.now() - began
  return result
}

/** One process that takes shares until there are none. */
function work(order: () => Order | null, taken: (share: Share) => void, signal?: AbortSignal): Promise<void> {
  const worker = fileURLToPath(new URL(`./worker${extname(import.meta.url)}`, import.meta.url))
  const child = startModule(worker, [], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] }, memoryFlags)
  const stop = () => child.kill()
  signal?.addEventListener('abort', stop, { once: true })
  return new Promise<void>((resolve, reject) => {
    const give = () => {
      const share = order()
      if (share === null) child.disconnect()
      else child.send(share)
    }
    child.on('message', (share: Share) => {
      taken(share)
      give()
    })
    child.on('error', reject)
    child.on('exit', (code) => {
      if (code === 0 || signal?.aborted === true) resolve()
      else reject(new Error(`a worker of the simulator ended with ${code}`))
    })
    give()
  }).finally(() => signal?.removeEventListener('abort', stop))
}
