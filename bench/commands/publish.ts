/** `bench publish`: servers, publishers and subscribers as processes; how fast, how late, at what cost. */
import type { Command } from 'commander'
import { Cluster } from '../cluster/cluster.ts'
import type { Picture } from '../draw/chart.ts'
import { measureLimit } from '../limit/limit.ts'
import { Histogram, type Percentiles } from '../measure/histogram.ts'
import { median, round, type Spread, spread, sum } from '../measure/statistics.ts'
import { sliceUs } from '../measure/timeline.ts'
import { type Measured, measureLoad } from '../measured-load.ts'
import {
  addCommonOptions,
  addLoadOptions,
  type LoadOptions,
  number,
  numbers,
  rateOf,
  seconds,
  serveArgsOf,
  serversFor,
  topicNames,
} from '../options.ts'
import { ms, percent, textTable, times, whole } from '../report/text.ts'
import type { Report } from '../report/write.ts'
import { Session } from '../session.ts'

interface Options extends LoadOptions {
  readonly subscribers: readonly number[]
  readonly subscriberProcesses: number
  readonly seconds: number
  readonly warmup: number
  readonly repeats: number
  readonly frame: number
}

/** One number of subscribers. */
interface LoadFigures {
  readonly subscribers: number
  readonly msgsPerSecond: number
  readonly mbPerSecond: number
  readonly deliveredPerSecond: number | null
  readonly ofLimit: number
  readonly ofLimitPreallocated: number
  readonly ackMs: Percentiles
  readonly deliveryMs: Percentiles | null
  /** How much later than due messages were sent, where they were due at all. */
  readonly lateMs: Percentiles | null
  readonly serverCpuSecondsPerMillion: number | null
  readonly serverPeakMb: number
  readonly lost: number
  readonly duplicated: number
  readonly spread: { readonly msgsPerSecond: Spread; readonly ofLimit: Spread }
}

export interface PublishSummary extends Omit<LoadFigures, 'subscribers' | 'deliveredPerSecond'> {
  readonly command: 'publish'
  readonly limit: {
    readonly msgsPerSecond: number
    readonly preallocatedMsgsPerSecond: number
    readonly pingPongMs: Percentiles
  }
  /** Acknowledgement and delivery at p50 over the limit's one message under way, flushed by all. */
  readonly ackOfPingPong: number | null
  readonly deliveryOfAck: number | null
  readonly loads: readonly LoadFigures[]
  readonly options: object
}

export function addPublish(parent: Command): void {
  const command = parent.command('publish').summary('throughput, latency and cost of durable publishing')
  addLoadOptions(addCommonOptions(command), null)
    .option(
      '--subscribers <n>',
      'how many read at the same time; several loads in turn: 0,1',
      numbers('subscribers', 0, 1000),
      [0, 1],
    )
    .option('--subscriber-processes <n>', 'processes that they share', number('subscriber processes', 1, 64), 4)
    .option('--seconds <s>', 'how long each load is measured, each time', seconds('--seconds'), 5)
    .option('--warmup <s>', 'how long it runs before', seconds('--warmup'), 1)
    .option('--repeats <n>', 'how often limit and loads are measured, in turn', number('repeats', 1, 100), 3)
    .option(
      '--frame <bytes>',
      'bytes of messages in a frame of the limit',
      number('frame', 64, 16 * 1024 * 1024),
      64 * 1024,
    )
    .action((options: Options) => Session.run(options, (session) => publish(session, options)))
}

async function publish(session: Session, options: Options): Promise<Report<PublishSummary>> {
  const servers = serversFor(options.mode, options.servers)
  const limitSeconds = Math.max(0.5, Math.min(2, options.seconds / 2))
  const limitSpec = {
    sinks: servers,
    payloadBytes: options.payload,
    frameBytes: options.frame,
    preallocated: false,
    flush: true,
    pingPong: false,
    seconds: limitSeconds,
  }
  const limits: number[] = []
  const preallocated: number[] = []
  const pingPong = new Histogram()
  const runs: Measured[][] = options.subscribers.map(() => [])
  for (let repeat = 1; repeat <= options.repeats; repeat++) {
    const turn = `${repeat} of ${options.repeats}`
    session.now(`limit ${turn}`)
    limits.push((await measureLimit(session, limitSpec)).msgsPerSecond)
    preallocated.push((await measureLimit(session, { ...limitSpec, preallocated: true })).msgsPerSecond)
    pingPong.add((await measureLimit(session, { ...limitSpec, pingPong: true })).latency)
    for (const [at, subscribers] of options.subscribers.entries()) {
      session.now(`publish ${turn}, ${subscribers} subscribers`)
      runs[at]?.push(await measureOnce(session, options, servers, subscribers))
    }
    const figures = runs.map((measured) => whole(measured.at(-1)?.msgsPerSecond ?? 0))
    session.say(`${turn}: limit ${whole(limits.at(-1) ?? 0)}, publish ${figures.join(', ')} messages/s`)
  }
  const loads = runs.map((measured, at) =>
    figuresOf(options, options.subscribers[at] ?? 0, measured, limits, preallocated),
  )
  const [first] = loads
  if (first === undefined) throw new Error('nothing was measured')
  const { subscribers: _, deliveredPerSecond: __, ...top } = first
  const deliveryMs = loads.find((load) => load.deliveryMs !== null)?.deliveryMs ?? null
  const withBoth = loads.find((load) => load.deliveryMs !== null)
  const pingPongMs = pingPong.percentiles()
  const summary: PublishSummary = {
    command: 'publish',
    ...top,
    deliveryMs,
    lost: sum(loads.map((load) => load.lost)),
    duplicated: sum(loads.map((load) => load.duplicated)),
    limit: {
      msgsPerSecond: Math.round(median(limits)),
      preallocatedMsgsPerSecond: Math.round(median(preallocated)),
      pingPongMs,
    },
    ackOfPingPong: ratio(first.ackMs.p50, pingPongMs.p50),
    deliveryOfAck: ratio(withBoth?.deliveryMs?.p50 ?? null, withBoth?.ackMs.p50 ?? null),
    loads,
    options: loadOptionsOf(options, servers),
  }
  const series = runs.map((measured, at) => ({
    subscribers: options.subscribers[at],
    runs: measured.map(({ result, fromUs, toUs }) => ({
      fromUs,
      toUs,
      acked: result.ackSlices,
      delivered: result.deliverySlices,
    })),
  }))
  return {
    summary,
    text: text(summary),
    series: { loads: series },
    picture: pictureOf(summary, runs, options),
    problems: problemsOf(runs.flat()),
  }
}

function pictureOf(summary: PublishSummary, runs: readonly (readonly Measured[])[], options: Options): Picture {
  const readers = (count: number) => `${count} ${count === 1 ? 'subscriber' : 'subscribers'}`
  const lasts = runs.flatMap((measured, at) => {
    const last = measured.at(-1)
    return last === undefined ? [] : [{ last, name: readers(options.subscribers[at] ?? 0) }]
  })
  const { limit } = summary
  return {
    title: `Durable publish, ${options.payload}-byte messages, ${options.mode}`,
    subtitle: `${serversFor(options.mode, options.servers)} servers, ${options.publishers} publisher, flushed before every acknowledgement; ${options.repeats} repeats in turn`,
    charts: [
      {
        kind: 'bars',
        title: 'Messages a second beside the limit of the machine (line: range)',
        unit: 'messages/s',
        isLog: false,
        bars: [
          { name: 'limit', value: limit.msgsPerSecond, isOurs: false },
          ...summary.loads.map(({ subscribers, msgsPerSecond, ofLimit, spread: { msgsPerSecond: range } }) => ({
            name: readers(subscribers),
            value: msgsPerSecond,
            min: range.min,
            max: range.max,
            note: percent(ofLimit),
            isOurs: true,
          })),
        ],
      },
      {
        kind: 'bars',
        title: 'Latency: p50 (line: to p99)',
        unit: 'ms',
        isLog: true,
        bars: [
          ...summary.loads.flatMap(({ subscribers, ackMs, deliveryMs }) => [
            latencyBar(`acknowledged, ${readers(subscribers)}`, ackMs),
            ...(deliveryMs === null ? [] : [latencyBar(`delivered, ${readers(subscribers)}`, deliveryMs)]),
          ]),
          { ...latencyBar('limit: one message under way', limit.pingPongMs), isOurs: false },
        ],
      },
      {
        kind: 'time',
        title: 'Acknowledged over time, last repeat',
        unit: 'messages/s',
        sliceMs: sliceUs / 1000,
        series: lasts.map(({ last, name }) => ({ name, counts: last.result.ackSlices })),
        marks: [],
        from: (lasts[0]?.last.fromUs ?? 0) / 1e6,
        to: (lasts[0]?.last.toUs ?? 0) / 1e6,
      },
    ],
  }
}

function latencyBar(name: string, { p50, p99 }: Percentiles) {
  return { name, value: p50 ?? 0, min: p50 ?? 0, max: p99 ?? 0, isOurs: true }
}

async function measureOnce(
  session: Session,
  options: Options,
  servers: number,
  subscribers: number,
): Promise<Measured> {
  const cluster = await Cluster.start(session, {
    servers,
    serveArgs: serveArgsOf(options),
    transport: options.transport,
  })
  try {
    const topics = topicNames(options.topics)
    await cluster.createTopics(topics, options.mode, cluster.ids)
    const load = {
      target: { kind: 'epochcast', url: cluster.url, topics },
      topics: topics.length,
      payloadBytes: options.payload,
      publishers: options.publishers,
      publisherProcesses: options.publisherProcesses,
      subscribers,
      subscriberProcesses: options.subscriberProcesses,
      rate: rateOf(options),
      window: options.window,
      api: options.api,
    } as const
    const course = { warmupSeconds: options.warmup, seconds: options.seconds, verify: true }
    return await measureLoad(session, load, cluster, course)
  } finally {
    await cluster.stop()
  }
}

function figuresOf(
  options: Options,
  subscribers: number,
  runs: readonly Measured[],
  limits: readonly number[],
  preallocated: readonly number[],
): LoadFigures {
  const rates = runs.map((run) => run.msgsPerSecond)
  const ofLimits = rates.map((rate, at) => rate / (limits[at] ?? 1))
  const ofPreallocated = rates.map((rate, at) => rate / (preallocated[at] ?? 1))
  const cpus = runs.flatMap((run) => run.serverCpuSecondsPerMillion ?? [])
  const delivered = runs.flatMap((run) => run.deliveredPerSecond ?? [])
  const merged = (of: (run: Measured) => Histogram) => Histogram.of(...runs.map(of)).percentiles()
  return {
    subscribers,
    msgsPerSecond: Math.round(median(rates)),
    mbPerSecond: round((median(rates) * options.payload) / 1e6),
    deliveredPerSecond: delivered.length === 0 ? null : Math.round(median(delivered)),
    ofLimit: round(median(ofLimits)),
    ofLimitPreallocated: round(median(ofPreallocated)),
    ackMs: merged((run) => run.result.ack),
    deliveryMs: subscribers === 0 ? null : merged((run) => run.result.delivery),
    lateMs: rateOf(options) === null ? null : merged((run) => run.result.lateness),
    serverCpuSecondsPerMillion: cpus.length === 0 ? null : round(median(cpus)),
    serverPeakMb: Math.max(0, ...runs.flatMap((run) => run.memory.map((one) => one.peakMb))),
    lost: sum(runs.map((run) => run.result.lost)),
    duplicated: sum(runs.map((run) => run.result.duplicated)),
    spread: { msgsPerSecond: rounded(spread(rates)), ofLimit: rounded(spread(ofLimits)) },
  }
}

/** What must not be, whatever the speed. */
export function problemsOf(runs: readonly Measured[]): string[] {
  const problems: string[] = []
  for (const { result } of runs) {
    const { lost, duplicated, disordered, foreign, refused, unknown, failure } = result
    if (lost > 0) problems.push(`${lost} acknowledged messages were lost`)
    if (duplicated > 0) problems.push(`${duplicated} messages were delivered twice`)
    if (disordered > 0) problems.push(`${disordered} messages came after a later one of their publisher`)
    if (foreign > 0) problems.push(`${foreign} messages are not as they were published`)
    if (refused > 0) problems.push(`${refused} messages were refused: ${failure}`)
    if (unknown > 0) problems.push(`${unknown} messages have no known outcome: ${failure}`)
    if (result.acked === 0) problems.push('nothing was acknowledged')
  }
  return problems
}

export function loadOptionsOf(options: LoadOptions, servers: number): object {
  const { mode, payload, publishers, publisherProcesses, topics, sync, transport, window, api, serveArgs } = options
  const rate = rateOf(options)
  return {
    mode,
    servers,
    payload,
    publishers,
    publisherProcesses,
    topics,
    sync,
    transport,
    rate,
    window,
    api,
    serveArgs,
  }
}

export function rounded({ median: middle, min, max }: Spread): Spread {
  return { median: round(middle), min: round(min), max: round(max) }
}

export function ratio(one: number | null, other: number | null): number | null {
  return one === null || other === null || other === 0 ? null : round(one / other)
}

function text(summary: PublishSummary): string {
  const { loads, limit } = summary
  const rates = textTable(
    [
      'subscribers',
      'messages/s',
      'range',
      'of limit',
      'range',
      'delivered/s',
      'server CPU s/million',
      'server peak MB',
    ],
    loads.map((load) => {
      const { msgsPerSecond, ofLimit } = load.spread
      return [
        whole(load.subscribers),
        whole(load.msgsPerSecond),
        `${whole(msgsPerSecond.min)} to ${whole(msgsPerSecond.max)}`,
        percent(load.ofLimit),
        `${percent(ofLimit.min)} to ${percent(ofLimit.max)}`,
        whole(load.deliveredPerSecond),
        load.serverCpuSecondsPerMillion?.toFixed(2) ?? '-',
        whole(load.serverPeakMb),
      ]
    }),
    [0, 1, 2, 3, 4, 5, 6, 7],
  )
  const line = (what: string, one: Percentiles | null): string[] => [
    what,
    ms(one?.p50 ?? null),
    ms(one?.p99 ?? null),
    ms(one?.p999 ?? null),
    ms(one?.max ?? null),
  ]
  const latencies = textTable(
    ['milliseconds', 'p50', 'p99', 'p99.9', 'max'],
    [
      ...loads.flatMap((load) => [
        line(`acknowledged, ${load.subscribers} subscribers`, load.ackMs),
        ...(load.deliveryMs === null ? [] : [line(`delivered, ${load.subscribers} subscribers`, load.deliveryMs)]),
        ...(load.lateMs === null ? [] : [line('sent later than due', load.lateMs)]),
      ]),
      line('limit: one message under way', limit.pingPongMs),
    ],
    [1, 2, 3, 4],
  )
  return [
    rates,
    '',
    latencies,
    '',
    `limit ${whole(limit.msgsPerSecond)} messages/s (written over: ${whole(limit.preallocatedMsgsPerSecond)}); ` +
      `acknowledgement ${times(summary.ackOfPingPong)} the limit's one message, delivery ${times(summary.deliveryOfAck)} acknowledgement (p50)`,
    `lost ${summary.lost}, duplicated ${summary.duplicated}`,
  ].join('\n')
}
