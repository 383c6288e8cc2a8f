/**
 * A clock that strikes finer than the event loop's timers, in a thread of its own: it sleeps on a lock until each moment and then
 * wakes the main thread. Waking takes about so long; it strikes that much early.
 */
import { extname } from 'node:path'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { nowUs } from '../measure/clock.ts'

const leadUs = 120

interface PacerData {
  readonly pacer: true
  readonly startUs: number
  readonly periodUs: number
}

/** @param strike called about every `periodUs` from `startUs` on */
export function startPacer(startUs: number, periodUs: number, strike: () => void): () => void {
  const data: PacerData = { pacer: true, startUs, periodUs }
  const worker = new Worker(new URL(`./pacer${extname(import.meta.url)}`, import.meta.url), { workerData: data })
  worker.on('message', strike)
  return () => {
    worker.off('message', strike)
    worker.terminate().catch(() => {})
  }
}

function run({ startUs, periodUs }: PacerData): void {
  const lock = new Int32Array(new SharedArrayBuffer(4))
  for (let strike = 0; ; strike++) {
    const waitUs = startUs + strike * periodUs - leadUs - nowUs()
    // A stall does not make it strike for everything that it missed.
    if (waitUs < -periodUs) strike += Math.floor(-waitUs / periodUs)
    if (waitUs > 0) Atomics.wait(lock, 0, 0, waitUs / 1000)
    parentPort?.postMessage(null)
  }
}

if (!isMainThread && (workerData as Partial<PacerData> | null)?.pacer === true) run(workerData as PacerData)
