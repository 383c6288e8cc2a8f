/** `bench scale`: how cost grows with topics, publishers, subscribers, and messages that are held. */
import type { Command } from 'commander'
import { Cluster } from '../cluster/cluster.ts'
import type { Picture } from '../draw/chart.ts'
import { measureLimit } from '../limit/limit.ts'
import type { Percentiles } from '../measure/histogram.ts'
import { median, round, sum } from '../measure/statistics.ts'
import { type Measured, measureLoad } from '../measured-load.ts'
import {
  addCommonOptions,
  addLoadOptions,
  type LoadOptions,
  listOf,
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

interface Options extends LoadOptions {
  readonly axis: readonly Axis[]
  readonly points?: readonly number[]
  readonly seconds: number
  readonly warmup: number
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
  /** Null where it was not checked: behind messages that were there before. */
  readonly lost: number | null
  readonly duplicated: number | null
}

export interface ScaleSummary {
  readonly command: 'scale'
  readonly axes: Readonly<Record<string, readonly Point[]>>
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
    .option('--seconds <s>', 'how long each point is measured', seconds('--seconds'), 4)
    .option('--warmup <s>', 'how long it runs before', seconds('--warmup'), 1)
    .action((options: Options) => Session.run(options, (session) => scale(session, options)))
}

interface Taken {
  readonly value: number
  readonly measured: Measured
  readonly bytesPerHeldMessage: number | null
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
  for (const axis of options.axis) {
    const each: Taken[] = []
    taken.set(axis, each)
    for (const value of options.points ?? points[axis]) {
      session.now(`${axis} ${whole(value)}`)
      const one = await measureOnce(session, options, servers, axis, value)
      each.push(one)
      session.say(`${axis} ${whole(value)}: ${whole(one.measured.msgsPerSecond)} messages/s`)
    }
  }
  const summary: ScaleSummary = {
    command: 'scale',
    axes: Object.fromEntries([...taken].map(([axis, each]) => [axis, each.map((one) => pointOf(one, each[0], limit))])),
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
): Promise<Taken> {
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
    const held = axis === 'held' && value > 0 ? await fill(session, cluster, spec, value) : 0
    const grown = sum(cluster.memory.map((one) => one.rssMb)) - before
    const course = { warmupSeconds: options.warmup, seconds: options.seconds, verify: held === 0 }
    const measured = await measureLoad(session, spec, cluster, course)
    const bytesPerHeldMessage = held === 0 ? null : round((grown * 1024 * 1024) / servers / held)
    return { value, measured, bytesPerHeldMessage }
  } finally {
    await cluster.stop()
  }
}

/** Publishes so many messages as fast as it goes. @returns how many they became */
async function fill(
  session: Session,
  cluster: Cluster,
  spec: Parameters<typeof measureLoad>[1],
  count: number,
): Promise<number> {
  const { doing } = session
  let held = 0
  // By stretches of some seconds, as long as it takes at the speed that the ones before had.
  for (let stretch = 1; held < count; ) {
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

function pointOf({ value, measured, bytesPerHeldMessage }: Taken, first: Taken | undefined, limit: number): Point {
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
    lost: bytesPerHeldMessage === null ? result.lost : null,
    duplicated: bytesPerHeldMessage === null ? result.duplicated : null,
  }
}

function pictureOf(summary: ScaleSummary, options: Options): Picture {
  return {
    title: 'How cost grows as the work grows',
    subtitle: `${options.payload}-byte messages, ${options.mode}, ${serversFor(options.mode, options.servers)} servers`,
    charts: Object.entries(summary.axes).map(([axis, each]) => ({
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
    'lost',
    'duplicated',
  ]
  return Object.entries(summary.axes)
    .map(([axis, each]) => {
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
        whole(point.lost),
        whole(point.duplicated),
      ])
      return textTable(
        [axis, ...headings.slice(1)],
        rows,
        headings.map((_, at) => at),
      )
    })
    .join('\n\n')
}
