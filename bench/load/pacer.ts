/**
 * A clock that strikes finer than the event loop's timers, in a thread of its own: it sleeps on a lock until each moment and then
 * wakes the main thread. Waking takes about so long; it strikes that much early.
 */
import { Worker } from 'node:worker_threads'

const leadUs = 120

/** As text, so that the thread needs no loader for the language that this is written in. */
const thread = `
const { parentPort, workerData: { startUs, periodUs, leadUs } } = require('node:worker_threads')
const lock = new Int32Array(new SharedArrayBuffer(4))
for (let strike = 0; ; strike++) {
  const waitUs = startUs + strike * periodUs - leadUs - Number(process.hrtime.bigint()) / 1e3
  // A stall does not make it strike for everything that it missed.
  if (waitUs < -periodUs) strike += Math.floor(-waitUs / periodUs)
  if (waitUs > 0) Atomics.wait(lock, 0, 0, waitUs / 1000)
  parentPort.postMessage(null)
}
`

/**
 * @param strike called about every `periodUs` from `startUs` on, in microseconds of the common clock
 * @returns a function that stops it
 */
export function startPacer(startUs: number, periodUs: number, strike: () => void): () => void {
  const worker = new Worker(thread, { eval: true, execArgv: [], workerData: { startUs, periodUs, leadUs } })
  worker.on('message', strike)
  return () => {
    worker.off('message', strike)
    worker.terminate().catch(() => {})
  }
}
