/** The limit that this machine sets without any protocol, in the same layout: one process that sends, one for each server that flushes. */
import { once } from 'node:events'
import { mkdtemp, open, rm } from 'node:fs/promises'
import { extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type ChildProcess, startModule } from '../child-process.ts'
import { nowUs } from '../measure/clock.ts'
import { Histogram } from '../measure/histogram.ts'
import type { Session } from '../session.ts'
import type { SinkSpec } from './sink.ts'
import type { SourceResult, SourceSpec } from './source.ts'

export interface LimitSpec {
  readonly sinks: number
  readonly payloadBytes: number
  /** Bytes of messages in one frame. */
  readonly frameBytes: number
  /** The sinks write over what is there, or append. */
  readonly preallocated: boolean
  readonly flush: boolean
  readonly pingPong: boolean
  /** Sinks whose answer counts; all of them where it is left out. */
  readonly quorum?: number
  readonly seconds: number
}

export interface LimitFigure {
  readonly msgsPerSecond: number
  readonly latency: Histogram
}

const preallocateBytes = 64 * 1024 * 1024
const windowBytes = 4 * 1024 * 1024
const warmupSeconds = 0.3
const startTimeoutMs = 20_000

export async function measureLimit(session: Session, spec: LimitSpec): Promise<LimitFigure> {
  const folder = await mkdtemp(join(session.dataFolder, 'limit-'))
  const children: ChildProcess[] = []
  const start = (name: string) => {
    const child = startModule(fileURLToPath(new URL(`./${name}${extname(import.meta.url)}`, import.meta.url)), [], {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      serialization: 'advanced',
    })
    children.push(child)
    session.own(child.pid)
    return child
  }
  const end = session.onKill(() => {
    for (const child of children) child.kill('SIGKILL')
  })
  try {
    const starting = Array.from({ length: spec.sinks }, async (_, at) => {
      const sink: SinkSpec = {
        path: join(folder, `sink-${at}`),
        preallocateBytes: spec.preallocated ? preallocateBytes : 0,
        flush: spec.flush,
      }
      const child = start('sink')
      child.send(sink)
      return ((await answerOf(child, startTimeoutMs, session.signal)) as { readonly port: number }).port
    })
    const source: SourceSpec = {
      ports: await Promise.all(starting),
      quorum: spec.quorum ?? spec.sinks,
      payloadBytes: spec.payloadBytes,
      frameBytes: Math.max(spec.frameBytes, spec.payloadBytes),
      windowBytes,
      pingPong: spec.pingPong,
      warmupSeconds,
      seconds: spec.seconds,
    }
    const child = start('source')
    child.send(source)
    const timeoutMs = startTimeoutMs + (warmupSeconds + spec.seconds) * 1000
    const { messagesPerSecond, latency } = (await answerOf(child, timeoutMs, session.signal)) as SourceResult
    return { msgsPerSecond: messagesPerSecond, latency: Histogram.of(latency) }
  } finally {
    end()
    for (const child of children) {
      session.disown(child.pid)
      const gone = child.exitCode !== null || child.signalCode !== null ? null : once(child, 'exit')
      child.kill('SIGKILL')
      await gone
    }
    await rm(folder, { recursive: true, force: true })
  }
}

export interface FlushFigure {
  readonly latency: Histogram
  readonly mbPerSecond: number
}

/** One writer that flushes after each write. */
export async function measureFlush(
  session: Session,
  bytes: number,
  preallocated: boolean,
  seconds: number,
): Promise<FlushFigure> {
  const folder = await mkdtemp(join(session.dataFolder, 'flush-'))
  const file = await open(join(folder, 'file'), 'w')
  try {
    const block = Buffer.alloc(bytes, 7)
    const area = preallocated ? preallocateBytes : 0
    for (let at = 0; at < area; at += 1024 * 1024) await file.write(Buffer.alloc(1024 * 1024), 0, 1024 * 1024, at)
    if (area > 0) await file.sync()
    const latency = new Histogram()
    const [fromUs, endUs] = [nowUs(), nowUs() + seconds * 1e6]
    let [written, position] = [0, 0]
    while (nowUs() < endUs) {
      session.signal.throwIfAborted()
      if (area > 0 && position + bytes > area) position = 0
      const before = nowUs()
      await file.write(block, 0, bytes, position)
      await file.datasync()
      latency.record(nowUs() - before)
      position += bytes
      written += bytes
    }
    return { latency, mbPerSecond: written / (nowUs() - fromUs) }
  } finally {
    await file.close()
    await rm(folder, { recursive: true, force: true })
  }
}

function answerOf(child: ChildProcess, timeoutMs: number, signal: AbortSignal): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason)
    if (signal.aborted) onAbort()
    signal.addEventListener('abort', onAbort, { once: true })
    const timer = setTimeout(() => reject(new Error('a process of the limit does not answer')), timeoutMs)
    child.once('message', (message) => {
      clearTimeout(timer)
      signal.removeEventListener('abort', onAbort)
      resolve(message)
    })
    child.once('exit', (code, by) => {
      clearTimeout(timer)
      signal.removeEventListener('abort', onAbort)
      reject(new Error(`a process of the limit ended by itself (${by ?? code})`))
    })
  })
}
