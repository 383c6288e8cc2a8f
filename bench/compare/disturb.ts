/** A load at a steady rate while the lead is moved, or while the leader dies or stands still. */
import type { LoadSpec } from '../load/load.ts'
import { nowUs } from '../measure/clock.ts'
import { longestGapMs } from '../measure/gaps.ts'
import type { Histogram } from '../measure/histogram.ts'
import { closeLoad, openLoad, unlessAborted, until } from '../measured-load.ts'
import type { Session } from '../session.ts'
import type { System } from './systems.ts'

export interface Disturbance {
  readonly kind: 'planned' | 'kill' | 'freeze'
  /** How often the lead is moved. */
  readonly changes: number
  readonly rate: number
  readonly warmupSeconds: number
  /** Nothing happens for so long; then, after a death, this is how long it is watched. */
  readonly quietSeconds: number
  readonly harmSeconds: number
  readonly payloadBytes: number
  readonly window: number
}

export interface Disturbed {
  /** The longest time between two acknowledgements around each change. */
  readonly gapsMs: readonly number[]
  readonly undisturbedGapMs: number
  readonly failedPublishes: number
  readonly lost: number
  readonly duplicated: number
  readonly acked: number
  readonly failure: string | null
  readonly ack: Histogram
}

const afterUs = 50_000
const betweenSeconds = 0.5
/** A change that takes longer counts as one that does not end. */
const changeTimeoutMs = 60_000

export async function disturb(session: Session, system: System, options: Disturbance): Promise<Disturbed> {
  const peer = await system.start(session, options.kind)
  let restore: (() => Promise<void>) | null = null
  try {
    const spec: LoadSpec = {
      target: peer.target,
      topics: 1,
      payloadBytes: options.payloadBytes,
      publishers: 1,
      publisherProcesses: 1,
      subscribers: 0,
      subscriberProcesses: 1,
      rate: options.rate,
      window: options.window,
      api: 'publish',
    }
    const load = await openLoad(session, spec)
    try {
      await until(load.go(options.warmupSeconds, null).measureFromUs, session.signal)
      const quietFromUs = nowUs()
      await until(quietFromUs + options.quietSeconds * 1e6, session.signal)
      const quietToUs = nowUs()
      const spans: { readonly fromUs: number; readonly toUs: number }[] = []
      if (options.kind === 'planned') {
        for (let at = 0; at < options.changes; at++) {
          const fromUs = nowUs()
          await within(changeTimeoutMs, peer.moveLead(), session.signal)
          spans.push({ fromUs, toUs: nowUs() + afterUs })
          await until(nowUs() + betweenSeconds * 1e6, session.signal)
        }
      } else {
        const fromUs = nowUs()
        restore = await peer.harmLeader(options.kind)
        await until(fromUs + options.harmSeconds * 1e6, session.signal)
        spans.push({ fromUs, toUs: nowUs() })
      }
      load.stop()
      const result = await unlessAborted(session.signal, load.result(true))
      return {
        gapsMs: spans.map(({ fromUs, toUs }) => longestGapMs(result.ackGaps, fromUs, toUs)),
        undisturbedGapMs: longestGapMs(result.ackGaps, quietFromUs, quietToUs),
        failedPublishes: result.refused + result.unknown,
        lost: result.lost,
        duplicated: result.duplicated,
        acked: result.acked,
        failure: result.failure,
        ack: result.ack,
      }
    } finally {
      await closeLoad(session, load)
    }
  } finally {
    if (!session.signal.aborted) await restore?.()
    await peer.stop()
  }
}

async function within(timeoutMs: number, work: Promise<void>, signal: AbortSignal): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`the lead did not move within ${timeoutMs} ms`)), timeoutMs)
  })
  try {
    await unlessAborted(signal, Promise.race([work, late]))
  } finally {
    clearTimeout(timer)
  }
}
