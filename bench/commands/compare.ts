/** `bench compare`: the same work on others that are installed here, in turn with ours. */
import type { Command } from 'commander'
import { type Disturbed, disturb } from '../compare/disturb.ts'
import {
  disturbances,
  type Family,
  families,
  ours,
  type System,
  settings,
  systems,
  versions,
} from '../compare/systems.ts'
import type { Chart, Picture } from '../draw/chart.ts'
import { measureLimit } from '../limit/limit.ts'
import type { PublishApi } from '../load/contract.ts'
import { payloadBytesMin } from '../load/payload.ts'
import { Histogram, type Percentiles } from '../measure/histogram.ts'
import { median, quantileOf, round, type Spread, spread, sum } from '../measure/statistics.ts'
import { type Measured, measureLoad } from '../measured-load.ts'
import { addCommonOptions, type CommonOptions, listOf, number, seconds } from '../options.ts'
import { ms, percent, textTable, times, whole } from '../report/text.ts'
import type { Report } from '../report/write.ts'
import { Skipped } from '../rivals/peer.ts'
import { Session } from '../session.ts'
import { ratio, rounded } from './publish.ts'

interface Options extends CommonOptions {
  readonly against: readonly Family[]
  readonly payload: number
  readonly seconds: number
  readonly warmup: number
  readonly repeats: number
  readonly window: number
  readonly peerWindow: number
  readonly disturb: readonly (typeof disturbances)[number][]
  readonly changes: number
  readonly rate: number
  readonly harmSeconds: number
  readonly frame: number
}

export interface DisturbedFigures {
  /** Of the longest ack gap around each. */
  readonly gapMs: { readonly median: number | null; readonly min: number | null; readonly max: number | null }
  readonly undisturbedGapMs: number
  readonly failedPublishes: number
  readonly lost: number
  readonly duplicated: number
  /** Undisturbed and disturbed together, at the steady rate. */
  readonly ackMs: Percentiles
}

export interface SystemFigures {
  readonly promise: string
  readonly msgsPerSecond: number
  readonly ofLimit: number
  readonly ackMs: Percentiles
  readonly serverCpuSecondsPerMillion: number | null
  readonly serverPeakMb: number
  readonly lost: number
  readonly duplicated: number
  readonly failedPublishes: number
  readonly spread: { readonly msgsPerSecond: Spread }
  readonly planned?: DisturbedFigures
  readonly kill?: DisturbedFigures
  readonly freeze?: DisturbedFigures
}

export interface CompareSummary {
  readonly command: 'compare'
  readonly ours: SystemFigures
  readonly peers: Readonly<Record<string, SystemFigures | { readonly skipped: string }>>
  /** Messages a second, ours divided by theirs, each pair measured in turn: above 1 is better. Null: not measured. */
  readonly ratios: Readonly<Record<string, number | null>>
  readonly ratioSpread: Readonly<Record<string, Spread>>
  /** Their gap divided by ours: above 1 is better. */
  readonly gapRatios: Readonly<Record<string, Readonly<Record<string, number | null>>>>
  readonly versions: Readonly<Record<Family, string | null>>
  readonly skipped: Readonly<Record<string, string>>
  readonly settings: typeof settings
  readonly limit: { readonly msgsPerSecond: number }
  readonly options: object
}

export function addCompare(parent: Command): void {
  addCommonOptions(parent.command('compare').summary('NATS JetStream and Redis Streams at the same work'))
    .option('--against <list>', families.join(', '), listOf('peer', families), families)
    .option('--payload <bytes>', 'bytes in a message', number('payload', payloadBytesMin, 1024 * 1024), 128)
    .option('--seconds <s>', 'how long each throughput is measured, each time', seconds('--seconds'), 4)
    .option('--warmup <s>', 'how long it runs before', seconds('--warmup'), 1)
    .option('--repeats <n>', 'how often all are measured, in turn', number('repeats', 1, 100), 3)
    .option('--window <n>', 'pending publishes at most', number('window', 1, 5_000_000), 20_000)
    .option('--peer-window <n>', 'the same for the others', number('window', 1, 5_000_000), 5_000)
    .option('--disturb <list>', `${disturbances.join(', ')}: what else is compared; none`, disturbancesOf, [
      'planned',
      'kill',
    ])
    .option('--changes <n>', 'how often the lead is moved, each time', number('changes', 1, 1000), 6)
    .option('--rate <n>', 'messages per second meanwhile', number('rate', 10, 100_000), 2_000)
    .option('--harm-seconds <s>', 'how long it is watched after a death', seconds('--harm-seconds'), 8)
    .option(
      '--frame <bytes>',
      'bytes of messages in a frame of the limit',
      number('frame', 64, 16 * 1024 * 1024),
      64 * 1024,
    )
    .action((options: Options) => Session.run(options, (session) => compare(session, options)))
}

const titles: Readonly<Record<string, string>> = {
  natsFile: 'JetStream R3, publish',
  natsFilePipelined: 'JetStream R3, pipelined',
  natsSyncAlways: 'JetStream R3, synced',
  natsSyncAlwaysPipelined: 'JetStream R3, synced, pipelined',
  redisAlways: 'Redis, always + WAIT 1',
  redisDefaults: 'Redis, defaults',
}

interface Runs {
  readonly system: System
  readonly loads: Measured[]
  readonly disturbed: Map<string, Disturbed[]>
  skipped: string | null
}

async function compare(session: Session, options: Options): Promise<Report<CompareSummary>> {
  const found = versions()
  for (const family of options.against) session.say(`${family}: ${found[family] ?? 'not installed'}`)
  const all: Runs[] = systems
    .filter(({ family }) => family === 'ours' || options.against.includes(family))
    .map((system) => ({ system, loads: [], disturbed: new Map(), skipped: null }))
  const limits: number[] = []
  for (let repeat = 1; repeat <= options.repeats; repeat++) {
    const turn = `${repeat} of ${options.repeats}`
    session.now(`limit ${turn}`)
    limits.push(await limitOnce(session, options))
    for (const runs of all) {
      if (runs.skipped !== null) continue
      session.now(`${runs.system.name} ${turn}`)
      await unlessSkipped(session, runs, async () => {
        const measured = await loadOnce(session, runs.system, options)
        runs.loads.push(measured)
        session.say(`${turn}: ${runs.system.name} ${whole(measured.msgsPerSecond)} messages/s`)
      })
    }
    for (const kind of options.disturb) {
      for (const runs of all) {
        if (runs.skipped !== null || !runs.system.isDisturbed) continue
        session.now(`${runs.system.name} ${turn}, ${kind}`)
        await unlessSkipped(session, runs, async () => {
          const one = await disturb(session, runs.system, { ...disturbanceOf(options, runs.system), kind })
          runs.disturbed.set(kind, [...(runs.disturbed.get(kind) ?? []), one])
          session.say(`${turn}: ${runs.system.name}, ${kind}: gaps ${one.gapsMs.map((gap) => ms(gap)).join(', ')} ms`)
        })
      }
    }
  }
  const summary = summaryOf(options, all, limits, found)
  const series = {
    limits,
    loads: all.map(({ system, loads }) => ({ name: system.name, rates: loads.map((one) => one.msgsPerSecond) })),
  }
  return { summary, text: text(summary), series, picture: pictureOf(summary, options), problems: problemsOf(all) }
}

function pictureOf(summary: CompareSummary, options: Options): Picture {
  const rows = [
    { name: 'epochcast', figures: summary.ours, isOurs: true },
    ...Object.entries(summary.peers).flatMap(([name, figures]) =>
      'skipped' in figures ? [] : [{ name: titles[name] ?? name, figures, isOurs: false }],
    ),
  ]
  const found = Object.entries(summary.versions).map(([family, version]) => `${family} ${version ?? 'not installed'}`)
  const gaps = (kind: (typeof disturbances)[number], title: string): Chart[] => {
    const bars = rows.flatMap(({ name, figures, isOurs }) => {
      const gap = figures[kind]?.gapMs
      if (gap === undefined || gap.median === null) return []
      return [{ name, value: gap.median, min: gap.min ?? gap.median, max: gap.max ?? gap.median, isOurs }]
    })
    return bars.length === 0 ? [] : [{ kind: 'bars', title, unit: 'ms', isLog: true, bars }]
  }
  return {
    title: `The same work on others: ${options.payload}-byte messages, three servers`,
    subtitle: `${found.join(', ')}; measured in turn, ${options.repeats} repeats, median (line: range)`,
    charts: [
      {
        kind: 'bars',
        title: 'Durable publish, one publisher: messages a second',
        unit: 'messages/s',
        isLog: false,
        bars: rows.map(({ name, figures, isOurs }) => ({
          name,
          value: figures.msgsPerSecond,
          min: figures.spread.msgsPerSecond.min,
          max: figures.spread.msgsPerSecond.max,
          isOurs,
        })),
      },
      ...gaps(
        'planned',
        `Planned change of lead at ${whole(options.rate)} messages/s: longest time without an acknowledgement`,
      ),
      ...gaps('kill', 'kill -9 of the leader: longest time without an acknowledgement'),
      ...gaps('freeze', 'Leader frozen (SIGSTOP): longest time without an acknowledgement'),
    ],
  }
}

async function unlessSkipped(session: Session, runs: Runs, work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    // What others do not survive is their figure, and no reason to end.
    if (!(error instanceof Skipped) && runs.system.family !== 'ours' && !session.signal.aborted) {
      session.say(`${runs.system.name}: no figure this time: ${error instanceof Error ? error.message : String(error)}`)
      return
    }
    if (!(error instanceof Skipped)) throw error
    runs.skipped = error.message
    session.say(`${runs.system.name} skipped: ${error.message}`)
  }
}

async function limitOnce(session: Session, options: Options): Promise<number> {
  const spec = { sinks: 3, preallocated: false, flush: true, pingPong: false, seconds: Math.min(2, options.seconds) }
  const { msgsPerSecond } = await measureLimit(session, {
    ...spec,
    payloadBytes: options.payload,
    frameBytes: options.frame,
  })
  return msgsPerSecond
}

async function loadOnce(session: Session, system: System, options: Options): Promise<Measured> {
  const peer = await system.start(session, 'load')
  try {
    const spec = {
      target: peer.target,
      topics: 1,
      payloadBytes: options.payload,
      publishers: 1,
      publisherProcesses: 1,
      subscribers: 0,
      subscriberProcesses: 1,
      rate: null,
      window: system.family === 'ours' ? options.window : options.peerWindow,
      api: 'publish' as PublishApi,
    }
    const course = { warmupSeconds: options.warmup, seconds: options.seconds, verify: true }
    return await measureLoad(session, spec, peer, course)
  } finally {
    await peer.stop()
  }
}

function disturbanceOf(options: Options, system: System) {
  return {
    changes: options.changes,
    rate: options.rate,
    warmupSeconds: options.warmup,
    quietSeconds: 2,
    harmSeconds: options.harmSeconds,
    payloadBytes: options.payload,
    window: system.family === 'ours' ? options.window : options.peerWindow,
  }
}

function summaryOf(
  options: Options,
  all: readonly Runs[],
  limits: readonly number[],
  found: Record<Family, string | null>,
): CompareSummary {
  const [first] = all
  if (first === undefined || first.system !== ours) throw new Error('ours was not measured')
  const own = figuresOf(first, limits)
  const others = all.slice(1)
  const measured = others.filter((runs) => runs.skipped === null && runs.loads.length > 0)
  const pairs = (runs: Runs) =>
    runs.loads.map((load, at) => (first.loads[at]?.msgsPerSecond ?? 0) / Math.max(1e-9, load.msgsPerSecond))
  const gapRatio = (runs: Runs, kind: string) => ratio(gapsOf(runs, kind).median, gapsOf(first, kind).median)
  return {
    command: 'compare',
    ours: own,
    peers: Object.fromEntries(
      others.map((runs) => [
        runs.system.name,
        runs.skipped === null ? figuresOf(runs, limits) : { skipped: runs.skipped },
      ]),
    ),
    ratios: Object.fromEntries(
      others.map((runs) => [runs.system.name, measured.includes(runs) ? round(median(pairs(runs))) : null]),
    ),
    ratioSpread: Object.fromEntries(measured.map((runs) => [runs.system.name, rounded(spread(pairs(runs)))])),
    gapRatios: Object.fromEntries(
      options.disturb.map((kind) => [
        kind,
        Object.fromEntries(
          measured.filter((runs) => runs.disturbed.has(kind)).map((runs) => [runs.system.name, gapRatio(runs, kind)]),
        ),
      ]),
    ),
    versions: found,
    skipped: Object.fromEntries(
      others.flatMap(({ system, skipped }) => (skipped === null ? [] : [[system.name, skipped]])),
    ),
    settings,
    limit: { msgsPerSecond: Math.round(median(limits)) },
    options: {
      payload: options.payload,
      seconds: options.seconds,
      repeats: options.repeats,
      window: options.window,
      peerWindow: options.peerWindow,
      rate: options.rate,
    },
  }
}

function figuresOf({ system, loads, disturbed }: Runs, limits: readonly number[]): SystemFigures {
  const rates = loads.map((load) => load.msgsPerSecond)
  const cpus = loads.flatMap((load) => load.serverCpuSecondsPerMillion ?? [])
  return {
    promise: system.promise,
    msgsPerSecond: Math.round(median(rates)),
    ofLimit: round(median(rates.map((rate, at) => rate / (limits[at] ?? 1)))),
    ackMs: Histogram.of(...loads.map((load) => load.result.ack)).percentiles(),
    serverCpuSecondsPerMillion: cpus.length === 0 ? null : round(median(cpus)),
    serverPeakMb: Math.max(0, ...loads.flatMap((load) => load.memory.map((one) => one.peakMb))),
    lost: sum(loads.map((load) => load.result.lost)),
    duplicated: sum(loads.map((load) => load.result.duplicated)),
    failedPublishes: sum(loads.map((load) => load.result.refused + load.result.unknown)),
    spread: { msgsPerSecond: rounded(spread(rates)) },
    ...Object.fromEntries([...disturbed].map(([kind, runs]) => [kind, disturbedFigures(runs)])),
  }
}

function disturbedFigures(runs: readonly Disturbed[]): DisturbedFigures {
  return {
    gapMs: gaps(runs),
    undisturbedGapMs: Math.max(...runs.map((run) => run.undisturbedGapMs)),
    failedPublishes: sum(runs.map((run) => run.failedPublishes)),
    lost: sum(runs.map((run) => run.lost)),
    duplicated: sum(runs.map((run) => run.duplicated)),
    ackMs: Histogram.of(...runs.map((run) => run.ack)).percentiles(),
  }
}

function gapsOf(runs: Runs, kind: string) {
  return gaps(runs.disturbed.get(kind) ?? [])
}

function gaps(runs: readonly Disturbed[]) {
  const all = runs.flatMap((run) => run.gapsMs)
  return { median: quantileOf(all, 0.5), min: quantileOf(all, 0), max: quantileOf(all, 1) }
}

/** Only ours must be without fault; what others lose is a figure. */
function problemsOf([own]: readonly Runs[]): string[] {
  const found = (count: number, what: string) => (count === 0 ? [] : [`ours: ${count} ${what}`])
  const results = [...(own?.loads.map((load) => load.result) ?? [])]
  const disturbed = [...(own?.disturbed.values() ?? [])].flat()
  return [
    ...found(sum([...results, ...disturbed].map((one) => one.lost)), 'acknowledged messages were lost'),
    ...found(sum([...results, ...disturbed].map((one) => one.duplicated)), 'messages were delivered twice'),
    ...found(sum(results.map((one) => one.unknown + one.refused)), 'publishes failed'),
    ...found(sum(disturbed.map((one) => one.failedPublishes)), 'publishes failed while disturbed'),
  ]
}

function text(summary: CompareSummary): string {
  const peers = Object.entries(summary.peers)
  const measured = peers.flatMap(([name, figures]) => ('skipped' in figures ? [] : [{ name, figures }]))
  const rows = [{ name: 'ours', figures: summary.ours }, ...measured]
  const rates = textTable(
    [
      '',
      'messages/s',
      'range',
      'ours is',
      'of limit',
      'ack p50 ms',
      'p99',
      'server CPU s/million',
      'lost',
      'an acknowledged message is',
    ],
    rows.map(({ name, figures }) => [
      name,
      whole(figures.msgsPerSecond),
      `${whole(figures.spread.msgsPerSecond.min)} to ${whole(figures.spread.msgsPerSecond.max)}`,
      name === 'ours' ? '' : times(summary.ratios[name] ?? null),
      percent(figures.ofLimit),
      ms(figures.ackMs.p50),
      ms(figures.ackMs.p99),
      figures.serverCpuSecondsPerMillion?.toFixed(1) ?? '-',
      whole(figures.lost),
      figures.promise,
    ]),
    [1, 2, 3, 4, 5, 6, 7, 8],
  )
  const parts = [rates, '']
  for (const kind of disturbances) {
    const disturbed = rows.flatMap(({ name, figures }) => {
      const one = figures[kind]
      return one === undefined ? [] : [{ name, one }]
    })
    if (disturbed.length === 0) continue
    const what = {
      planned: 'planned change of lead',
      kill: 'kill -9 of the leader',
      freeze: 'leader frozen (SIGSTOP)',
    }[kind]
    parts.push(
      textTable(
        [what, 'ack gap ms', 'range', 'undisturbed', 'failed publishes', 'lost', 'ack p50 ms'],
        disturbed.map(({ name, one }) => [
          name,
          ms(one.gapMs.median),
          `${ms(one.gapMs.min)} to ${ms(one.gapMs.max)}`,
          ms(one.undisturbedGapMs),
          whole(one.failedPublishes),
          whole(one.lost),
          ms(one.ackMs.p50),
        ]),
        [1, 2, 3, 4, 5, 6],
      ),
      '',
    )
  }
  for (const [name, why] of Object.entries(summary.skipped)) parts.push(`skipped ${name}: ${why}`)
  const found = Object.entries(summary.versions).map(([family, version]) => `${family} ${version ?? 'not installed'}`)
  parts.push(`${found.join(', ')}; limit ${whole(summary.limit.msgsPerSecond)} messages/s`)
  return parts.join('\n')
}

function disturbancesOf(text: string): readonly (typeof disturbances)[number][] {
  return text === 'none' ? [] : listOf('disturbance', disturbances)(text)
}
