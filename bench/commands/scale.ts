/** `bench scale`: how cost grows with topics, publishers, subscribers, and messages that are held. */
import type { Command } from 'commander'
import { Cluster } from '../cluster/cluster.ts'
import type { Picture } from '../draw/chart.ts'
import { measureLimit } from '../limit/limit.ts'
import type { Percentiles } from '../measure/histogram.ts'
import { type Idle, measureIdle } from '../measure/idle.ts'
import { median, round, sum } from '../measure/statistics.ts'
import { type Measured, measureLoad } from '../measured-load.ts'
import {
  addCommonOptions,
  addLoadOptions,
  type LoadOptions,
  listOf,
  number,
  numbers,
  rateOf,
  seconds,
  serveArgsOf,
  serversFor,
  topicNames,
} from '../options.ts'
import { ms, percent, textTable, whole } from '../report/text.ts'
import type { Report } from '../report/write.ts'
import { Session } from '../session.ts'
import { loadOptionsOf, problemsOf } from './publish.ts'

const axes = ['topics', 'publishers', 'subscribers', 'held'] as const
type Axis = (typeof axes)[number]

/** What is measured along each axis where nobody says. */
const points: Readonly<Record<Axis, readonly number[]>> = {
  topics: [1, 10, 100, 500, 2_000],
  publishers: [1, 3, 10, 30, 100],
  subscribers: [1, 2, 5, 10, 50],
  held: [0, 10_000, 100_000, 1_000_000, 10_000_000],
}

/** The same for who wants to know soon. */
const quickPoints: Readonly<Record<Axis, readonly number[]>> = {
  topics: [1, 100, 1_000],
  publishers: [1, 10, 100],
  subscribers: [1, 10, 50],
  held: [0, 100_000, 1_000_000],
}
const quickSeconds = 2
const warmupSecondsPerTopic = 0.002

interface Options extends LoadOptions {
  readonly axis: readonly Axis[]
  readonly points?: readonly number[]
  readonly seconds?: number
  readonly warmup: number
  readonly minutes: number
  readonly quick: boolean
}

interface Point {
  readonly value: number
  readonly msgsPerSecond: number
  readonly deliveredPerSecond: number | null
  /** Over the first point of its axis. */
  readonly ofFirst: number
  readonly ofLimit: number
  readonly ackMs: Percentiles
  readonly serverCpuSecondsPerMillion: number | null
  readonly serverRssMb: number
  /** What all servers have grown by while they came to hold so many, for each message and server. */
  readonly bytesPerHeldMessage: number | null
  /** Along `topics`: CPU of the busiest server while nothing happens, and beside a dead one, in percent of a core. */
  readonly idleCpuPercent: number | null
  readonly idleCpuPercentOneDead: number | null
  /** Null where it was not checked: behind messages that were there before. */
  readonly lost: number | null
  readonly duplicated: number | null
}

export interface ScaleSummary {
  readonly command: 'scale'
  readonly axes: Readonly<Record<string, readonly Point[]>>
  /** Points that the time did not suffice for. */
  readonly notMeasured: readonly string[]
  readonly limit: { readonly msgsPerSecond: number }
  readonly options: object
}

export function addScale(parent: Command): void {
  const command = parent.command('scale').summary('how cost grows as the work grows')
  addLoadOptions(addCommonOptions(command), null)
    .option('--axis <list>', `${axes.join(', ')}: what grows`, listOf('axis', axes), axes)
    .option(
      '--points <list>',
      'how far, separated by commas (default: 1 to 2,000 topics and so on)',
      numbers('point', 0, 1e9),
    )
    .option('--seconds <s>', 'how long each point is measured (default: 4, quick: 2)', seconds('--seconds'))
    .option('--warmup <s>', 'how long it runs before', seconds('--warmup'), 1)
    .option('--minutes <n>', 'no point is begun after so long', number('minutes', 1, 24 * 60), 10)
    .option('--quick', 'fewer points, not so far', false)
    .action((options: Options) => Session.run(options, (session) => scale(session, options)))
}

interface Taken {
  readonly value: number
  readonly measured: Measured
  readonly bytesPerHeldMessage: number | null
  readonly idle: Idle | null
}

async function scale(session: Session, options: Options): Promise<Report<ScaleSummary>> {
  const servers = serversFor(options.mode, options.servers)
  session.now('limit')
  const { msgsPerSecond: limit } = await measureLimit(session, {
    sinks: servers,
    payloadBytes: options.payload,
    frameBytes: 64 * 1024,
    preallocated: false,
    flush: true,
    pingPong: false,
    seconds: 2,
  })
  const taken = new Map<Axis, Taken[]>()
  const notMeasured: string[] = []
  const endsAt = performance.now() + options.minutes * 60_000
  for (const [at, axis] of options.axis.entries()) {
    const each: Taken[] = []
    taken.set(axis, each)
    // Those that come later have their share of the time.
    const axisEndsAt = performance.now() + (endsAt - performance.now()) / (options.axis.length - at)
    for (const value of options.points ?? (options.quick ? quickPoints : points)[axis]) {
      const point = `${axis} ${whole(value)}`
      session.now(point)
      const began = performance.now()
      const one = began > axisEndsAt ? null : await measureOnce(session, options, servers, axis, value, axisEndsAt)
      if (one === null) notMeasured.push(point)
      else each.push(one)
      const took = `in ${((performance.now() - began) / 1000).toFixed(0)} s`
      const result = one === null ? 'not measured, the time is over' : `${whole(one.measured.msgsPerSecond)} messages/s`
      session.say(`${point}: ${result}, ${took}`)
    }
  }
  const summary: ScaleSummary = {
    command: 'scale',
    axes: Object.fromEntries([...taken].map(([axis, each]) => [axis, each.map((one) => pointOf(one, each[0], limit))])),
    notMeasured,
    limit: { msgsPerSecond: Math.round(limit) },
    options: loadOptionsOf(options, servers),
  }
  const problems = problemsOf([...taken.values()].flat().map((one) => one.measured))
  return { summary, text: text(summary), series: {}, picture: pictureOf(summary, options), problems }
}

async function measureOnce(
  session: Session,
  options: Options,
  servers: number,
  axis: Axis,
  value: number,
  endsAt: number,
): Promise<Taken | null> {
  const cluster = await Cluster.start(session, {
    servers,
    serveArgs: serveArgsOf(options),
    transport: options.transport,
  })
  try {
    const topics = topicNames(axis === 'topics' ? Math.max(1, value) : options.topics)
    await cluster.createTopics(topics, options.mode, cluster.ids)
    const publishers = axis === 'publishers' ? Math.max(1, value) : options.publishers
    const spec = {
      target: { kind: 'epochcast', url: cluster.url, topics },
      topics: topics.length,
      payloadBytes: options.payload,
      publishers,
      publisherProcesses: options.publisherProcesses,
      subscribers: axis === 'subscribers' ? value : 0,
      subscriberProcesses: 4,
      rate: rateOf(options),
      window: options.window,
      api: options.api,
    } as const
    const before = sum(cluster.memory.map((one) => one.rssMb))
    const held = axis === 'held' && value > 0 ? await fill(session, cluster, spec, value, endsAt) : 0
    if (held === null) return null
    const grown = sum(cluster.memory.map((one) => one.rssMb)) - before
    // Each topic has its first message, which costs more than later ones.
    const warmupSeconds = options.warmup + topics.length * warmupSecondsPerTopic
    const course = { warmupSeconds, seconds: secondsOf(options), verify: held === 0 }
    const measured = await measureLoad(session, spec, cluster, course)
    const bytesPerHeldMessage = held === 0 ? null : round((grown * 1024 * 1024) / servers / held)
    session.now(`${session.doing}: at rest`)
    const idle = axis === 'topics' ? await measureIdle(session, cluster, topics, idleSecondsOf(options)) : null
    return { value, measured, bytesPerHeldMessage, idle }
  } finally {
    await cluster.stop()
  }
}

/** A server at rest uses so little that a short look counts single ticks of the system's clock. */
function idleSecondsOf({ quick }: Options): number {
  return quick ? 5 : 20
}

function secondsOf({ seconds, quick }: Options): number {
  return seconds ?? (quick ? quickSeconds : 4)
}

/** Publishes so many messages as fast as it goes. @returns how many they became; null when there was not enough time */
async function fill(
  session: Session,
  cluster: Cluster,
  spec: Parameters<typeof measureLoad>[1],
  count: number,
  endsAt: number,
): Promise<number | null> {
  const { doing } = session
  let held = 0
  // By stretches of some seconds, as long as it takes at the speed that the ones before had.
  for (let stretch = 1; held < count; ) {
    if (performance.now() > endsAt) return null
    session.now(`${doing}: holding ${whole(held)}`)
    const { result } = await measureLoad(session, { ...spec, subscribers: 0, rate: null }, cluster, {
      warmupSeconds: 0,
      seconds: stretch,
      verify: false,
    })
    if (result.acked === 0) throw new Error('nothing was acknowledged')
    held += result.acked
    stretch = Math.min(20, Math.max(0.1, ((count - held) / result.acked) * stretch))
  }
  session.now(doing)
  return held
}

function pointOf(
  { value, measured, bytesPerHeldMessage, idle }: Taken,
  first: Taken | undefined,
  limit: number,
): Point {
  const { result, memory } = measured
  return {
    value,
    msgsPerSecond: Math.round(measured.msgsPerSecond),
    deliveredPerSecond: measured.deliveredPerSecond === null ? null : Math.round(measured.deliveredPerSecond),
    ofFirst: round(measured.msgsPerSecond / Math.max(1e-9, first?.measured.msgsPerSecond ?? 0)),
    ofLimit: round(measured.msgsPerSecond / limit),
    ackMs: result.ack.percentiles(),
    serverCpuSecondsPerMillion:
      measured.serverCpuSecondsPerMillion === null ? null : round(measured.serverCpuSecondsPerMillion),
    serverRssMb: round(median(memory.map((one) => one.rssMb))),
    bytesPerHeldMessage,
    idleCpuPercent: idle?.idleCpuPercent ?? null,
    idleCpuPercentOneDead: idle?.idleCpuPercentOneDead ?? null,
    lost: bytesPerHeldMessage === null ? result.lost : null,
    duplicated: bytesPerHeldMessage === null ? result.duplicated : null,
  }
}

function pictureOf(summary: ScaleSummary, options: Options): Picture {
  return {
    title: 'How cost grows as the work grows',
    subtitle: `${options.payload}-byte messages, ${options.mode}, ${serversFor(options.mode, options.servers)} servers`,
    charts: measuredAxes(summary).map(([axis, each]) => ({
      kind: 'bars' as const,
      title: `Messages a second by ${axis === 'held' ? 'messages held' : axis}`,
      unit: 'messages/s',
      isLog: false,
      bars: each.map(({ value, msgsPerSecond, serverCpuSecondsPerMillion }) => ({
        name: whole(value),
        value: msgsPerSecond,
        note: serverCpuSecondsPerMillion === null ? '' : `${serverCpuSecondsPerMillion.toFixed(1)} CPU s/M`,
        isOurs: true,
      })),
    })),
  }
}

function measuredAxes(summary: ScaleSummary): [string, readonly Point[]][] {
  return Object.entries(summary.axes).filter(([, each]) => each.length > 0)
}

function text(summary: ScaleSummary): string {
  const headings = [
    '',
    'messages/s',
    'of the first',
    'of limit',
    'delivered/s',
    'ack p50 ms',
    'p99',
    'server CPU s/million',
    'server MB',
    'bytes/held',
    'idle CPU %',
    'beside a dead one',
    'lost',
    'duplicated',
  ]
  const tables = measuredAxes(summary).map(([axis, each]) => {
    const rows = each.map((point) => [
      whole(point.value),
      whole(point.msgsPerSecond),
      percent(point.ofFirst),
      percent(point.ofLimit),
      whole(point.deliveredPerSecond),
      ms(point.ackMs.p50),
      ms(point.ackMs.p99),
      point.serverCpuSecondsPerMillion?.toFixed(2) ?? '-',
      whole(point.serverRssMb),
      point.bytesPerHeldMessage?.toFixed(1) ?? '-',
      point.idleCpuPercent?.toFixed(2) ?? '-',
      point.idleCpuPercentOneDead?.toFixed(2) ?? '-',
      whole(point.lost),
      whole(point.duplicated),
    ])
    return textTable(
      [axis, ...headings.slice(1)],
      rows,
      headings.map((_, at) => at),
    )
  })
  if (summary.notMeasured.length > 0) tables.push(`not measured, the time was over: ${summary.notMeasured.join('; ')}`)
  return tables.join('\n\n')
}
