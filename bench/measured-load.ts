/** One load on one target: how fast, how late, what the servers spent, and whether anything was lost. */
import { setTimeout as sleep } from 'node:timers/promises'
import { Load, type LoadResult, type LoadSpec } from './load/load.ts'
import { nowUs } from './measure/clock.ts'
import type { Memory } from './measure/processes.ts'
import { countBetween } from './measure/timeline.ts'
import type { Session } from './session.ts'

/** What is asked of the servers under load. */
export interface ServersUnderLoad {
  readonly cpuSeconds: number
  readonly memory: readonly (Memory & { readonly id: string })[]
}

export interface Measured {
  readonly msgsPerSecond: number
  /** Of all subscribers together; null where nobody subscribed. */
  readonly deliveredPerSecond: number | null
  readonly serverCpuSecondsPerMillion: number | null
  readonly memory: readonly (Memory & { readonly id: string })[]
  readonly result: LoadResult
  /** The measured part, in microseconds since the slices began. */
  readonly fromUs: number
  readonly toUs: number
}

export interface Course {
  readonly warmupSeconds: number
  readonly seconds: number
  /** Where nobody subscribed, somebody reads everything afterwards. */
  readonly verify: boolean
}

export async function measureLoad(
  session: Session,
  spec: LoadSpec,
  servers: ServersUnderLoad,
  course: Course,
): Promise<Measured> {
  const load = await openLoad(session, spec)
  try {
    const plan = load.go(course.warmupSeconds, course.seconds)
    await until(plan.measureFromUs, session.signal)
    const cpuBefore = servers.cpuSeconds
    const beganUs = nowUs()
    await until(plan.endUs ?? beganUs, session.signal)
    const cpu = servers.cpuSeconds - cpuBefore
    const endedUs = nowUs()
    const memory = servers.memory
    const result = await unlessAborted(session.signal, load.result(course.verify))
    const [fromUs, toUs] = [plan.measureFromUs - plan.startUs, (plan.endUs ?? endedUs) - plan.startUs]
    const acked = countBetween(result.ackSlices, fromUs, toUs)
    const ackedMeanwhile = countBetween(result.ackSlices, beganUs - plan.startUs, endedUs - plan.startUs)
    const delivered = countBetween(result.deliverySlices, fromUs, toUs)
    return {
      msgsPerSecond: acked / course.seconds,
      deliveredPerSecond: spec.subscribers === 0 ? null : delivered / course.seconds,
      serverCpuSecondsPerMillion: ackedMeanwhile === 0 ? null : (cpu / ackedMeanwhile) * 1e6,
      memory,
      result,
      fromUs,
      toUs,
    }
  } finally {
    await closeLoad(session, load)
  }
}

const onKill = new WeakMap<Load, () => void>()

/** The same for who steers the load by hand. */
export async function openLoad(session: Session, spec: LoadSpec): Promise<Load> {
  const opening = Load.open(spec, (error) => session.interrupt(error))
  const load = await unlessAborted(session.signal, opening).catch((error: unknown) => {
    opening.then((late) => late.kill()).catch(() => {})
    throw error
  })
  onKill.set(
    load,
    session.onKill(() => load.kill()),
  )
  session.own(...load.pids)
  const numbers = () =>
    `acked ${load.acked.toLocaleString('en-US')}  delivered ${load.delivered.toLocaleString('en-US')}`
  session.showNumbers(numbers)
  return load
}

export async function closeLoad(session: Session, load: Load): Promise<void> {
  session.showNumbers(null)
  session.disown(...load.pids)
  if (session.signal.aborted) load.kill()
  else await load.close()
  onKill.get(load)?.()
}

export async function until(atUs: number, signal: AbortSignal): Promise<void> {
  const ms = (atUs - nowUs()) / 1000
  if (ms > 0) await sleep(ms, undefined, { signal })
  signal.throwIfAborted()
}

/** Does not wait for what cannot be interrupted. */
export function unlessAborted<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason)
    if (signal.aborted) onAbort()
    signal.addEventListener('abort', onAbort, { once: true })
    work
      .then(resolve, (error: unknown) => reject(signal.aborted ? signal.reason : error))
      .finally(() => signal.removeEventListener('abort', onAbort))
  })
}
