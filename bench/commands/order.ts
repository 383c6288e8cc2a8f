/** `bench order`: what each order costs, on the same load. */
import type { Command } from 'commander'
import { connect, EpochcastError, type Order, type SubscribeOptions } from '../../client-sdk/index.ts'
import { orders } from '../../proto/configuration.ts'
import { Cluster } from '../cluster/cluster.ts'
import type { Picture } from '../draw/chart.ts'
import { measureLimit } from '../limit/limit.ts'
import { Refused } from '../load/worker-process.ts'
import { Histogram, type Percentiles } from '../measure/histogram.ts'
import { median, round, type Spread, spread, sum } from '../measure/statistics.ts'
import { type Measured, measureLoad } from '../measured-load.ts'
import {
  addCommonOptions,
  addLoadOptions,
  type LoadOptions,
  listOf,
  number,
  rateOf,
  seconds,
  serveArgsOf,
  serversFor,
} from '../options.ts'
import { ms, percent, textTable, whole } from '../report/text.ts'
import type { Report } from '../report/write.ts'
import { Session } from '../session.ts'
import { loadOptionsOf, problemsOf, rounded } from './publish.ts'

const ways = ['none', 'fifo', 'causal', 'total', 'early'] as const
type Way = (typeof ways)[number]

interface Options extends LoadOptions {
  readonly orders: readonly Way[]
  readonly subscribers: number
  readonly seconds: number
  readonly warmup: number
  readonly repeats: number
}

interface OrderFigures {
  readonly msgsPerSecond: number
  readonly deliveredPerSecond: number
  readonly ofLimit: number
  /** Of the same run's fifo, or of the first that was measured. */
  readonly ofFirst: number
  readonly ackMs: Percentiles
  readonly deliveryMs: Percentiles
  readonly serverCpuSecondsPerMillion: number | null
  readonly lost: number
  readonly duplicated: number
  readonly spread: { readonly msgsPerSecond: Spread }
}

export interface OrderSummary {
  readonly command: 'order'
  readonly orders: Readonly<Record<string, OrderFigures | { readonly skipped: string }>>
  readonly limit: { readonly msgsPerSecond: number }
  readonly options: object
}

const topic = 'bench-0'

export function addOrder(parent: Command): void {
  const command = parent.command('order').summary('what each order of delivery costs, on the same load')
  addLoadOptions(addCommonOptions(command), null)
    .option('--orders <list>', `${ways.join(', ')}: measured in turn`, listOf('order', ways), ways)
    .option('--subscribers <n>', 'how many read at the same time', number('subscribers', 1, 1000), 1)
    .option('--seconds <s>', 'how long each is measured, each time', seconds('--seconds'), 4)
    .option('--warmup <s>', 'how long it runs before', seconds('--warmup'), 1)
    .option('--repeats <n>', 'how often all are measured, in turn', number('repeats', 1, 100), 3)
    .action((options: Options) => Session.run(options, (session) => order(session, options)))
}

async function order(session: Session, options: Options): Promise<Report<OrderSummary>> {
  const servers = serversFor(options.mode, options.servers)
  const runs = new Map<Way, Measured[]>()
  const skipped = new Map<Way, string>()
  const limits: number[] = []
  for (let repeat = 1; repeat <= options.repeats; repeat++) {
    const turn = `${repeat} of ${options.repeats}`
    session.now(`limit ${turn}`)
    limits.push((await measureLimit(session, limitSpecOf(options, servers))).msgsPerSecond)
    for (const way of options.orders) {
      if (skipped.has(way)) continue
      session.now(`${way} ${turn}`)
      try {
        const measured = await measureOnce(session, options, servers, way)
        runs.set(way, [...(runs.get(way) ?? []), measured])
        session.say(`${turn}: ${way} ${whole(measured.msgsPerSecond)} messages/s`)
      } catch (error) {
        if (!(error instanceof Refused)) throw error
        skipped.set(way, error.message)
        session.say(`${way} skipped: ${error.message}`)
      }
    }
  }
  const first = [...runs.values()][0]?.map((run) => run.msgsPerSecond) ?? []
  const figures = Object.fromEntries(
    options.orders.map((way) => {
      const measured = runs.get(way)
      if (measured === undefined) return [way, { skipped: skipped.get(way) ?? 'not measured' }]
      return [way, figuresOf(measured, limits, first)]
    }),
  )
  const summary: OrderSummary = {
    command: 'order',
    orders: figures,
    limit: { msgsPerSecond: Math.round(median(limits)) },
    options: loadOptionsOf(options, servers),
  }
  const all = [...runs.values()].flat()
  return { summary, text: text(summary), series: {}, picture: pictureOf(summary, options), problems: problemsOf(all) }
}

async function measureOnce(session: Session, options: Options, servers: number, way: Way): Promise<Measured> {
  const cluster = await Cluster.start(session, {
    servers,
    serveArgs: serveArgsOf(options),
    transport: options.transport,
  })
  try {
    if (way === 'early') await refuseWithoutEarly(cluster.url)
    const wanted = (way === 'early' ? 'fifo' : way) as Order
    if (!(orders as readonly string[]).includes(wanted)) throw new Refused(`this version has no order ${wanted}`)
    await unlessRefused(cluster.createTopics([topic], options.mode, cluster.ids, wanted))
    const load = {
      target: { kind: 'epochcast', url: cluster.url, topics: [topic], order: wanted, early: way === 'early' },
      topics: 1,
      payloadBytes: options.payload,
      publishers: options.publishers,
      publisherProcesses: options.publisherProcesses,
      subscribers: options.subscribers,
      subscriberProcesses: 4,
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

/** A client that knows of early delivery refuses it in total order; one that does not takes no notice. */
async function refuseWithoutEarly(url: string): Promise<void> {
  if (!(orders as readonly string[]).includes('total')) throw new Refused('this version does not deliver early')
  await using client = await connect(url)
  try {
    const options = { order: 'total', durability: 'early' } as object as SubscribeOptions
    await client.topic(topic).subscribe(options).return()
  } catch {
    return
  }
  throw new Refused('this version does not deliver early')
}

async function unlessRefused(work: Promise<void>): Promise<void> {
  try {
    await work
  } catch (error) {
    if (error instanceof EpochcastError && !error.retryable) throw new Refused(error.message)
    throw error
  }
}

function limitSpecOf(options: Options, servers: number) {
  return {
    sinks: servers,
    payloadBytes: options.payload,
    frameBytes: 64 * 1024,
    preallocated: false,
    flush: true,
    pingPong: false,
    seconds: Math.max(0.5, Math.min(2, options.seconds / 2)),
  }
}

function figuresOf(runs: readonly Measured[], limits: readonly number[], first: readonly number[]): OrderFigures {
  const rates = runs.map((run) => run.msgsPerSecond)
  const cpus = runs.flatMap((run) => run.serverCpuSecondsPerMillion ?? [])
  const over = (others: readonly number[]) => round(median(rates.map((rate, at) => rate / (others[at] ?? 1))))
  return {
    msgsPerSecond: Math.round(median(rates)),
    deliveredPerSecond: Math.round(median(runs.map((run) => run.deliveredPerSecond ?? 0))),
    ofLimit: over(limits),
    ofFirst: over(first),
    ackMs: Histogram.of(...runs.map((run) => run.result.ack)).percentiles(),
    deliveryMs: Histogram.of(...runs.map((run) => run.result.delivery)).percentiles(),
    serverCpuSecondsPerMillion: cpus.length === 0 ? null : round(median(cpus)),
    lost: sum(runs.map((run) => run.result.lost)),
    duplicated: sum(runs.map((run) => run.result.duplicated)),
    spread: { msgsPerSecond: rounded(spread(rates)) },
  }
}

function measuredOf(summary: OrderSummary): { readonly name: string; readonly figures: OrderFigures }[] {
  return Object.entries(summary.orders).flatMap(([name, figures]) => ('skipped' in figures ? [] : [{ name, figures }]))
}

function pictureOf(summary: OrderSummary, options: Options): Picture {
  const measured = measuredOf(summary)
  return {
    title: 'What each order costs',
    subtitle: `${options.payload}-byte messages, ${options.subscribers} subscriber, the same load in turn; ${options.repeats} repeats`,
    charts: [
      {
        kind: 'bars',
        title: 'Messages a second (line: range)',
        unit: 'messages/s',
        isLog: false,
        bars: measured.map(({ name, figures }) => ({
          name,
          value: figures.msgsPerSecond,
          min: figures.spread.msgsPerSecond.min,
          max: figures.spread.msgsPerSecond.max,
          note: percent(figures.ofLimit),
          isOurs: true,
        })),
      },
      {
        kind: 'bars',
        title: 'From publish to delivery: p50 (line: to p99)',
        unit: 'ms',
        isLog: true,
        bars: measured.map(({ name, figures: { deliveryMs } }) => ({
          name,
          value: deliveryMs.p50 ?? 0,
          min: deliveryMs.p50 ?? 0,
          max: deliveryMs.p99 ?? 0,
          isOurs: true,
        })),
      },
    ],
  }
}

function text(summary: OrderSummary): string {
  const rows = measuredOf(summary).map(({ name, figures }) => [
    name,
    whole(figures.msgsPerSecond),
    percent(figures.ofFirst),
    percent(figures.ofLimit),
    ms(figures.ackMs.p50),
    ms(figures.deliveryMs.p50),
    ms(figures.deliveryMs.p99),
    figures.serverCpuSecondsPerMillion?.toFixed(2) ?? '-',
    whole(figures.lost),
    whole(figures.duplicated),
  ])
  const headings = [
    'order',
    'messages/s',
    'of the first',
    'of limit',
    'ack p50 ms',
    'delivery p50',
    'p99',
    'server CPU s/million',
    'lost',
    'duplicated',
  ]
  const skipped = Object.entries(summary.orders).flatMap(([name, figures]) =>
    'skipped' in figures ? [`skipped ${name}: ${figures.skipped}`] : [],
  )
  return [textTable(headings, rows, [1, 2, 3, 4, 5, 6, 7, 8, 9]), '', ...skipped].join('\n')
}
