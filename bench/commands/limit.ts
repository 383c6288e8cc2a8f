/** `bench limit`: what the machine allows without any protocol. Every other figure is also a fraction of one of these. */
import type { Command } from 'commander'
import type { Picture } from '../draw/chart.ts'
import { type LimitSpec, measureFlush, measureLimit } from '../limit/limit.ts'
import { payloadBytesMin } from '../load/payload.ts'
import { Histogram, type Percentiles } from '../measure/histogram.ts'
import { type Spread, spread } from '../measure/statistics.ts'
import { addCommonOptions, type CommonOptions, number, seconds } from '../options.ts'
import { ms, textTable, whole } from '../report/text.ts'
import type { Report } from '../report/write.ts'
import { Session } from '../session.ts'

interface Options extends CommonOptions {
  readonly payload: number
  readonly frame: number
  readonly sinks: number
  readonly seconds: number
  readonly repeats: number
}

export interface LimitSummary {
  readonly command: 'limit'
  /** Messages a second in whole frames, appended and flushed by every sink before it answers. The limit. */
  readonly msgsPerSecond: number
  readonly mbPerSecond: number
  readonly preallocatedMsgsPerSecond: number
  readonly networkMsgsPerSecond: number
  /** One message in a frame. */
  readonly smallFramesMsgsPerSecond: number
  /** One message under way, flushed by every sink. */
  readonly pingPongMs: Percentiles
  readonly pingPongQuorumMs: Percentiles
  readonly loopbackMs: Percentiles
  readonly flushMs: Percentiles
  readonly flushLargeMs: Percentiles
  readonly appendMbPerSecond: number
  readonly overwriteMbPerSecond: number
  readonly spread: Readonly<Record<string, Spread>>
}

export function addLimit(parent: Command): void {
  addCommonOptions(parent.command('limit').summary('what the machine allows without any protocol'))
    .option('--payload <bytes>', 'bytes in a message', number('payload', payloadBytesMin, 1024 * 1024), 128)
    .option(
      '--frame <bytes>',
      'bytes of messages in a frame',
      number('frame', payloadBytesMin, 16 * 1024 * 1024),
      64 * 1024,
    )
    .option('--sinks <n>', 'processes that store', number('sinks', 1, 26), 3)
    .option('--seconds <s>', 'how long each figure is measured, each time', seconds('--seconds'), 2)
    .option('--repeats <n>', 'how often all of them are measured, in turn', number('repeats', 1, 100), 3)
    .action((options: Options) => Session.run(options, (session) => limit(session, options)))
}

async function limit(session: Session, options: Options): Promise<Report<LimitSummary>> {
  const base: LimitSpec = {
    sinks: options.sinks,
    payloadBytes: options.payload,
    frameBytes: options.frame,
    preallocated: false,
    flush: true,
    pingPong: false,
    seconds: options.seconds,
  }
  const variants = {
    appending: base,
    preallocated: { ...base, preallocated: true },
    network: { ...base, flush: false },
    smallFrames: { ...base, frameBytes: options.payload },
    pingPong: { ...base, pingPong: true },
    pingPongQuorum: { ...base, pingPong: true, quorum: Math.floor(options.sinks / 2) + 1 },
    loopback: { ...base, pingPong: true, flush: false },
  } satisfies Record<string, LimitSpec>
  const flushes = {
    flush: { bytes: 4096, preallocated: false },
    append: { bytes: 65_536, preallocated: false },
    overwrite: { bytes: 65_536, preallocated: true },
  }
  const rates: Record<string, number[]> = {}
  const latencies: Record<string, Histogram> = {}
  const note = (name: string, rate: number, latency: Histogram) => {
    rates[name] = [...(rates[name] ?? []), rate]
    latencies[name] = Histogram.of(latencies[name] ?? new Histogram(), latency)
  }
  for (let repeat = 1; repeat <= options.repeats; repeat++) {
    for (const [name, spec] of Object.entries(variants)) {
      session.now(`limit ${repeat} of ${options.repeats}: ${name}`)
      const { msgsPerSecond, latency } = await measureLimit(session, spec)
      note(name, msgsPerSecond, latency)
    }
    for (const [name, { bytes, preallocated }] of Object.entries(flushes)) {
      session.now(`limit ${repeat} of ${options.repeats}: ${name}`)
      const { latency, mbPerSecond } = await measureFlush(session, bytes, preallocated, options.seconds / 2)
      note(name, mbPerSecond, latency)
    }
  }
  const spreads = Object.fromEntries(Object.entries(rates).map(([name, values]) => [name, spread(values)]))
  const rate = (name: string) => spreads[name]?.median ?? 0
  const latency = (name: string) => (latencies[name] ?? new Histogram()).percentiles()
  const summary: LimitSummary = {
    command: 'limit',
    msgsPerSecond: Math.round(rate('appending')),
    mbPerSecond: Math.round((rate('appending') * options.payload) / 1e5) / 10,
    preallocatedMsgsPerSecond: Math.round(rate('preallocated')),
    networkMsgsPerSecond: Math.round(rate('network')),
    smallFramesMsgsPerSecond: Math.round(rate('smallFrames')),
    pingPongMs: latency('pingPong'),
    pingPongQuorumMs: latency('pingPongQuorum'),
    loopbackMs: latency('loopback'),
    flushMs: latency('flush'),
    flushLargeMs: latency('append'),
    appendMbPerSecond: Math.round(rate('append')),
    overwriteMbPerSecond: Math.round(rate('overwrite')),
    spread: spreads,
  }
  return { summary, text: text(summary, options), series: {}, picture: pictureOf(summary, options) }
}

function pictureOf(summary: LimitSummary, { payload, sinks, repeats }: Options): Picture {
  const bar = (name: string, key: string) => {
    const { median: value, min, max } = summary.spread[key] ?? { median: 0, min: 0, max: 0 }
    return { name, value, min, max, isOurs: key === 'appending' }
  }
  const latency = (name: string, { p50, p99 }: Percentiles) => {
    return { name, value: p50 ?? 0, min: p50 ?? 0, max: p99 ?? 0, isOurs: false }
  }
  return {
    title: 'What this machine allows without any protocol',
    subtitle: `${payload}-byte messages, one process to ${sinks} that answer when it is on disk; ${repeats} repeats`,
    charts: [
      {
        kind: 'bars',
        title: 'Messages a second (line: range)',
        unit: 'messages/s',
        isLog: false,
        bars: [
          bar('frames, appended and flushed', 'appending'),
          bar('frames, written over and flushed', 'preallocated'),
          bar('frames, not stored', 'network'),
          bar('a frame per message, flushed', 'smallFrames'),
        ],
      },
      {
        kind: 'bars',
        title: 'One at a time: p50 (line: to p99)',
        unit: 'ms',
        isLog: true,
        bars: [
          latency('there, flushed by all, and back', summary.pingPongMs),
          latency('there, flushed by a majority, and back', summary.pingPongQuorumMs),
          latency('there and back', summary.loopbackMs),
          latency('append 4 KiB and flush', summary.flushMs),
          latency('append 64 KiB and flush', summary.flushLargeMs),
        ],
      },
    ],
  }
}

function text(summary: LimitSummary, { payload, frame, sinks, repeats }: Options): string {
  const range = (name: string) => {
    const { min, max } = summary.spread[name] ?? { min: 0, max: 0 }
    return `${whole(min)} to ${whole(max)}`
  }
  const row = (what: string, name: string, value: number, unit: string) => [what, whole(value), unit, range(name)]
  const rates = textTable(
    [`one process to ${sinks}, all answer`, 'median', '', 'range'],
    [
      row('frames, appended and flushed', 'appending', summary.msgsPerSecond, 'messages/s'),
      row('frames, written over and flushed', 'preallocated', summary.preallocatedMsgsPerSecond, 'messages/s'),
      row('frames, not stored', 'network', summary.networkMsgsPerSecond, 'messages/s'),
      row('a frame per message, flushed', 'smallFrames', summary.smallFramesMsgsPerSecond, 'messages/s'),
      row('one file, 64 KiB appended, flush each', 'append', summary.appendMbPerSecond, 'MB/s'),
      row('one file, 64 KiB written over, flush each', 'overwrite', summary.overwriteMbPerSecond, 'MB/s'),
    ],
    [1, 3],
  )
  const latency = (what: string, { p50, p99, max }: Percentiles) => [what, ms(p50), ms(p99), ms(max)]
  const latencies = textTable(
    ['milliseconds', 'p50', 'p99', 'max'],
    [
      latency('one message there, flushed by all, and back', summary.pingPongMs),
      latency('the same, a majority answers', summary.pingPongQuorumMs),
      latency('one message there and back', summary.loopbackMs),
      latency('append 4 KiB and flush', summary.flushMs),
      latency('append 64 KiB and flush', summary.flushLargeMs),
    ],
    [1, 2, 3],
  )
  const about = `${payload}-byte messages, ${whole(Math.floor(frame / payload))} in a frame of ${whole(frame)} bytes; ${repeats} repeats in turn`
  return `${rates}\n\n${latencies}\n\n${about}`
}
