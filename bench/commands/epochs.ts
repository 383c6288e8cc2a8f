/** `bench epochs`: what epoch changes, and members that die or stand still, do to publishers and subscribers. */
import type { Command } from 'commander'
import type { ChangeTimes } from '../../client-sdk/index.ts'
import { Cluster } from '../cluster/cluster.ts'
import type { Picture } from '../draw/chart.ts'
import { Course, type Harmed, type Made, type Span } from '../epochs/course.ts'
import { allKinds, harmedKinds, type Kind, plannedKinds } from '../epochs/kinds.ts'
import { measureLimit } from '../limit/limit.ts'
import type { LoadResult } from '../load/load.ts'
import { type Gap, longestGapMs } from '../measure/gaps.ts'
import type { Percentiles } from '../measure/histogram.ts'
import { quantileOf, round } from '../measure/statistics.ts'
import { countBetween, sliceUs } from '../measure/timeline.ts'
import { closeLoad, openLoad, unlessAborted, until } from '../measured-load.ts'
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
  topicNames,
} from '../options.ts'
import { ms, percent, textTable, times as timesOf, whole } from '../report/text.ts'
import type { Report } from '../report/write.ts'
import { Session } from '../session.ts'
import { loadOptionsOf, ratio } from './publish.ts'

interface Options extends LoadOptions {
  readonly subscribers: number
  readonly changes: number
  readonly kinds: readonly Kind[]
  readonly seconds?: number
  readonly quiet: number
  readonly warmup: number
  readonly spares?: number
  readonly kill: number
  readonly freeze: number
  readonly harmSeconds: number
  readonly replace: boolean
}

interface GapFigures {
  readonly p50: number | null
  readonly p99: number | null
  readonly max: number | null
}

export interface ChangeFigures {
  readonly kind: Kind
  readonly about: string
  /** Seconds after the run began. */
  readonly atSeconds: number
  readonly totalMs: number
  /** Longest time between two acknowledgements, or deliveries, from the request until soon after the next epoch took operations. */
  readonly ackGapMs: number
  readonly deliveryGapMs: number
}

/** With the milliseconds of each phase (`planMs`, `wedgeMs` …), as the server that coordinated took them. */
export type ChangeLine = ChangeFigures & ChangeTimes

export interface HarmFigures {
  readonly how: 'kill' | 'freeze'
  readonly member: string
  readonly atSeconds: number
  readonly longestAckGapMs: number
  readonly longestDeliveryGapMs: number
  /** The longest of as many seconds just before. */
  readonly undisturbedAckGapMs: number
  readonly undisturbedDeliveryGapMs: number
  readonly times: number | null
  readonly failedPublishes: number
}

export interface EpochsSummary {
  readonly command: 'epochs'
  readonly lost: number
  readonly duplicated: number
  readonly outcomesUnknown: number
  /** Of the longest gap around each change. */
  readonly ackGapMs: GapFigures
  readonly deliveryGapMs: GapFigures
  /** The longest gap in stretches of the same run in which nothing happened, as long as a change takes. */
  readonly undisturbedAckGapMs: GapFigures
  readonly throughputKept: number | null
  readonly msgsPerSecond: number
  readonly undisturbedMsgsPerSecond: number
  readonly ofLimit: number
  readonly ackMs: Percentiles
  readonly deliveryMs: Percentiles | null
  readonly limit: { readonly msgsPerSecond: number; readonly pingPongMs: Percentiles }
  readonly ackOfPingPong: number | null
  readonly changes: readonly ChangeLine[]
  readonly failures: readonly HarmFigures[]
  readonly options: object
}

/** What comes so long after a change still belongs to it. */
const afterUs = 50_000
const settleSeconds = 2
const phaseKeys: ReadonlySet<string> = new Set(['planMs', 'wedgeMs', 'collectMs', 'stageMs', 'decideMs', 'startMs'])

export function addEpochs(parent: Command): void {
  const command = parent.command('epochs').summary('what epoch changes, and dead members, do to a running load')
  addLoadOptions(addCommonOptions(command), 2_000)
    .option('--subscribers <n>', 'how many read meanwhile', number('subscribers', 1, 1000), 1)
    .option('--changes <n>', 'epoch changes, spread over the seconds', number('changes', 0, 10_000), 20)
    .option('--kinds <list>', `${allKinds.join(', ')}; by turns`, listOf('kind of change', allKinds), plannedKinds)
    .option('--seconds <s>', 'how long changes are made (default: a second for each)', seconds('--seconds'))
    .option('--quiet <s>', 'how long nothing happens, before and after', seconds('--quiet'), 5)
    .option('--warmup <s>', 'how long it runs before all that', seconds('--warmup'), 1)
    .option('--spares <n>', 'servers beside the members (default: as many again)', number('spares', 0, 13))
    .option('--kill <n>', 'afterwards kill -9 so many members, one after the other', number('--kill', 0, 100), 0)
    .option(
      '--freeze <n>',
      'afterwards freeze (SIGSTOP) so many members, one after the other',
      number('--freeze', 0, 100),
      0,
    )
    .option('--harm-seconds <s>', 'how long each stays dead or frozen', seconds('--harm-seconds'), 5)
    .option('--replace', 'servers replace dead members by themselves, as they do by default outside of this', false)
    .action((options: Options) => Session.run(options, (session) => epochs(session, options)))
}

interface Run {
  readonly result: LoadResult
  readonly made: readonly Made[]
  readonly harmed: readonly Harmed[]
  readonly quiet: readonly Span[]
  readonly changing: Span | null
  readonly failure: string | null
}

async function epochs(session: Session, options: Options): Promise<Report<EpochsSummary>> {
  const members = serversFor(options.mode, options.servers)
  session.now('limit')
  const limitSpec = {
    sinks: members,
    payloadBytes: options.payload,
    frameBytes: 64 * 1024,
    preallocated: false,
    flush: true,
    pingPong: false,
    seconds: Math.max(0.5, Math.min(2, options.quiet / 2)),
  }
  const { msgsPerSecond: limit } = await measureLimit(session, limitSpec)
  const pingPongMs = (await measureLimit(session, { ...limitSpec, pingPong: true })).latency.percentiles()
  const run = await runOnce(session, options, members)
  const { result, made, harmed, quiet, changing } = run
  const { startUs } = result
  const seconds = (atUs: number) => round((atUs - startUs) / 1e6, 6)
  const changes = made.map((change, at): ChangeLine => {
    const untilUs = Math.min(change.enabledUs + afterUs, made[at + 1]?.beganUs ?? Number.POSITIVE_INFINITY)
    return {
      kind: change.kind,
      about: change.about,
      atSeconds: seconds(change.beganUs),
      totalMs: round((change.enabledUs - change.beganUs) / 1000),
      ackGapMs: longestGapMs(result.ackGaps, change.beganUs, untilUs),
      deliveryGapMs: longestGapMs(result.deliveryGaps, change.beganUs, untilUs),
      ...roundedTimes(change.times),
    }
  })
  const failures = harmed.map((one) => harmFigures(one, result, seconds))
  const perSecond = (spans: readonly Span[]) => {
    const lengthUs = spans.reduce((total, span) => total + span.toUs - span.fromUs, 0)
    const counted = spans.reduce((total, span) => total + acksIn(result, span), 0)
    return lengthUs === 0 ? 0 : (counted / lengthUs) * 1e6
  }
  const undisturbed = perSecond(quiet)
  const changed = changing === null ? null : perSecond([changing])
  const ackMs = result.ack.percentiles()
  const summary: EpochsSummary = {
    command: 'epochs',
    lost: result.lost,
    duplicated: result.duplicated,
    outcomesUnknown: result.unknown,
    ackGapMs: figuresOf(changes.map((change) => change.ackGapMs)),
    deliveryGapMs: figuresOf(changes.map((change) => change.deliveryGapMs)),
    undisturbedAckGapMs: figuresOf(undisturbedGaps(result.ackGaps, quiet, made)),
    throughputKept: ratio(changed, undisturbed),
    msgsPerSecond: Math.round(changed ?? undisturbed),
    undisturbedMsgsPerSecond: Math.round(undisturbed),
    ofLimit: round((changed ?? undisturbed) / limit),
    ackMs,
    deliveryMs: result.delivery.percentiles(),
    limit: { msgsPerSecond: Math.round(limit), pingPongMs },
    ackOfPingPong: ratio(ackMs.p50, pingPongMs.p50),
    changes,
    failures,
    options: { ...loadOptionsOf(options, members), kinds: options.kinds },
  }
  const series = {
    sliceMs: sliceUs / 1000,
    acked: result.ackSlices,
    delivered: result.deliverySlices,
    failed: result.failureSlices,
    ackGaps: [...result.ackGapHistogram.buckets()],
    deliveryGaps: [...result.deliveryGapHistogram.buckets()],
    quiet: quiet.map((span) => ({ from: seconds(span.fromUs), to: seconds(span.toUs) })),
  }
  return {
    summary,
    text: text(summary),
    series,
    picture: pictureOf(summary, result, options),
    problems: problemsOf(run, options),
  }
}

export function pictureOf(summary: EpochsSummary, result: LoadResult, options: Options): Picture {
  const [from, to] = [options.warmup, result.ackSlices.length * (sliceUs / 1e6)]
  const rate = rateOf(options)
  const { changes, failures, undisturbedAckGapMs } = summary
  const inMs = (buckets: Iterable<{ readonly from: number; readonly to: number; readonly count: number }>) =>
    [...buckets].map((bucket) => ({ from: bucket.from / 1000, to: bucket.to / 1000, count: bucket.count }))
  return {
    title: `${rate === null ? 'Throughput' : `${whole(rate)} messages/s`} across ${changes.length} epoch changes`,
    subtitle: `${options.payload}-byte messages, flushed before every acknowledgement; ${percent(summary.throughputKept)} of the undisturbed throughput; lost ${summary.lost}, duplicated ${summary.duplicated}, unknown ${summary.outcomesUnknown}`,
    charts: [
      {
        kind: 'time',
        title: 'Messages a second, and the epoch changes',
        unit: 'messages/s',
        sliceMs: sliceUs / 1000,
        series: [
          { name: 'acknowledged', counts: result.ackSlices },
          { name: 'delivered', counts: result.deliverySlices },
        ],
        marks: [
          ...changes.map(({ atSeconds, kind }) => ({ at: atSeconds, label: kind })),
          ...failures.map(({ atSeconds, how, member }) => ({ at: atSeconds, label: `${how} ${member}` })),
        ],
        from,
        to,
      },
      {
        kind: 'stems',
        title: 'Longest time between two acknowledgements around each change',
        unit: 'ms',
        stems: [
          ...changes.map(({ atSeconds, ackGapMs, kind }) => ({ at: atSeconds, value: ackGapMs, label: kind })),
          ...failures.map((one) => ({ at: one.atSeconds, value: one.longestAckGapMs, label: one.how })),
        ],
        level:
          undisturbedAckGapMs.p50 === null
            ? null
            : { value: undisturbedAckGapMs.p50, label: 'the same where nothing happens, p50' },
        from,
        to,
      },
      {
        kind: 'histogram',
        title: 'Gaps of 0.1 ms and more, between each and the next',
        series: [
          { name: 'acknowledgements', buckets: inMs(result.ackGapHistogram.buckets()) },
          { name: 'deliveries', buckets: inMs(result.deliveryGapHistogram.buckets()) },
        ],
      },
    ],
  }
}

async function runOnce(session: Session, options: Options, members: number): Promise<Run> {
  session.now('starting servers')
  const servers = Math.min(26, members + (options.spares ?? members))
  // Who asks for the changes here must be alone with that.
  const serveArgs = [...serveArgsOf(options), ...(options.replace ? [] : ['--no-replace'])]
  const cluster = await Cluster.start(session, { servers, serveArgs, transport: options.transport })
  try {
    const topics = topicNames(options.topics)
    const [topic = ''] = topics
    const membership = { mode: options.mode, members: cluster.ids.slice(0, members) }
    await cluster.createTopics(topics, options.mode, membership.members)
    const load = await openLoad(session, {
      target: { kind: 'epochcast', url: cluster.url, topics },
      topics: topics.length,
      payloadBytes: options.payload,
      publishers: options.publishers,
      publisherProcesses: options.publisherProcesses,
      subscribers: options.subscribers,
      subscriberProcesses: 1,
      rate: rateOf(options),
      window: options.window,
      api: options.api,
    })
    try {
      const course = new Course(session, cluster, topic, membership)
      session.now('undisturbed')
      await until(load.go(options.warmup, null).measureFromUs, session.signal)
      await course.undisturbed(options.quiet)
      const { changes } = options
      const changing = changes === 0 ? null : await course.changes(options.kinds, changes, options.seconds ?? changes)
      session.now('undisturbed')
      if (changes > 0) await course.undisturbed(options.quiet)
      for (const how of ['kill', 'freeze'] as const) {
        for (let at = 0; at < options[how]; at++) await course.harm(how, at, options.harmSeconds, settleSeconds)
      }
      load.stop()
      session.now('waiting for the last deliveries')
      const result = await unlessAborted(session.signal, load.result(true))
      return {
        result,
        made: course.made,
        harmed: course.harmed,
        quiet: course.quiet,
        changing,
        failure: course.failure,
      }
    } finally {
      await closeLoad(session, load)
    }
  } finally {
    await cluster.stop()
  }
}

function roundedTimes(times: ChangeTimes): ChangeTimes {
  return Object.fromEntries(phasesOf(times).map((phase) => [phase, round(times[phase])])) as unknown as ChangeTimes
}

function phasesOf(times: ChangeTimes): (keyof ChangeTimes)[] {
  return Object.keys(times).filter((key): key is keyof ChangeTimes => phaseKeys.has(key))
}

function harmFigures(one: Harmed, result: LoadResult, seconds: (atUs: number) => number): HarmFigures {
  const { how, member, fromUs, toUs } = one
  const before = fromUs - (toUs - fromUs)
  const longest = longestGapMs(result.ackGaps, fromUs, toUs)
  const undisturbed = longestGapMs(result.ackGaps, before, fromUs - 1)
  const { startUs, failureSlices } = result
  return {
    how,
    member,
    atSeconds: seconds(fromUs),
    longestAckGapMs: longest,
    longestDeliveryGapMs: longestGapMs(result.deliveryGaps, fromUs, toUs),
    undisturbedAckGapMs: undisturbed,
    undisturbedDeliveryGapMs: longestGapMs(result.deliveryGaps, before, fromUs - 1),
    times: ratio(longest, undisturbed),
    failedPublishes: Math.round(countBetween(failureSlices, fromUs - startUs, toUs - startUs)),
  }
}

/** As long as changes take, where nothing happened: what noise alone does. */
function undisturbedGaps(gaps: readonly Gap[], quiet: readonly Span[], made: readonly Made[]): number[] {
  const lengths = made.map((change) => change.enabledUs - change.beganUs + afterUs)
  const lengthUs = Math.max(100_000, quantileOf(lengths, 0.5) ?? 0)
  const longest: number[] = []
  for (const { fromUs, toUs } of quiet) {
    for (let at = fromUs; at + lengthUs <= toUs; at += lengthUs) longest.push(longestGapMs(gaps, at, at + lengthUs))
  }
  return longest
}

function acksIn({ ackSlices, startUs }: LoadResult, { fromUs, toUs }: Span): number {
  return countBetween(ackSlices, fromUs - startUs, toUs - startUs)
}

function figuresOf(values: readonly number[]): GapFigures {
  return { p50: quantileOf(values, 0.5), p99: quantileOf(values, 0.99), max: quantileOf(values, 1) }
}

function problemsOf({ result, made, failure: stuck }: Run, options: Options): string[] {
  const { lost, duplicated, disordered, foreign, refused, unknown, failure, acked } = result
  const found = (count: number, what: string) => (count === 0 ? [] : [`${count} ${what}`])
  return [
    ...found(lost, 'acknowledged messages were lost'),
    ...found(duplicated, 'messages were delivered twice'),
    ...found(disordered, 'messages came after a later one of their publisher'),
    ...found(foreign, 'messages are not as they were published'),
    ...found(refused, `publishes failed: ${failure}`),
    ...found(unknown, `publishes have no known outcome: ${failure}`),
    ...found(options.changes - made.length, `changes were not made: ${stuck}`),
    ...(acked === 0 ? ['nothing was acknowledged'] : []),
  ]
}

function text(summary: EpochsSummary): string {
  const { changes, failures, ackGapMs, deliveryGapMs, undisturbedAckGapMs, ackMs, deliveryMs, limit } = summary
  const phases = [...new Set(changes.flatMap(phasesOf))]
  const isHarmed = (kind: Kind) => (harmedKinds as readonly Kind[]).includes(kind)
  const parts: string[] = []
  if (changes.length > 0) {
    const headings = [
      'change',
      ...phases.map((phase) => phase.replace(/Ms$/, '')),
      'ack gap',
      'delivery gap',
      'what happened',
    ]
    const rows = changes.map((change) => [
      change.kind,
      ...phases.map((phase) => (isHarmed(change.kind) && change[phase] === 0 ? '-' : ms(change[phase]))),
      ms(change.ackGapMs),
      ms(change.deliveryGapMs),
      change.about,
    ])
    parts.push(textTable(headings, rows, headings.map((_, at) => at).slice(1, -1)), '(milliseconds)', '')
  }
  if (failures.length > 0) {
    const headings = [
      'harm',
      'member',
      'longest ack gap',
      'undisturbed',
      'times',
      'delivery gap',
      'undisturbed',
      'failed publishes',
    ]
    const rows = failures.map((one) => [
      one.how,
      one.member,
      ms(one.longestAckGapMs),
      ms(one.undisturbedAckGapMs),
      timesOf(one.times),
      ms(one.longestDeliveryGapMs),
      ms(one.undisturbedDeliveryGapMs),
      whole(one.failedPublishes),
    ])
    parts.push(textTable(headings, rows, [2, 3, 4, 5, 6, 7]), '(milliseconds)', '')
  }
  const line = (what: string, { p50, p99, max }: GapFigures) => [what, ms(p50), ms(p99), ms(max)]
  parts.push(
    textTable(
      ['milliseconds', 'p50', 'p99', 'max'],
      [
        ...(changes.length === 0
          ? []
          : [
              line('longest ack gap of each change', ackGapMs),
              line('longest delivery gap of each change', deliveryGapMs),
            ]),
        line('longest ack gap, nothing happening', undisturbedAckGapMs),
        line('acknowledged', ackMs),
        ...(deliveryMs === null ? [] : [line('delivered', deliveryMs)]),
        line('limit: one message under way', limit.pingPongMs),
      ],
      [1, 2, 3],
    ),
    '',
    `${whole(summary.msgsPerSecond)} messages/s while changes ran, ${whole(summary.undisturbedMsgsPerSecond)} undisturbed: ` +
      `${percent(summary.throughputKept)} kept, ${percent(summary.ofLimit)} of the limit`,
    `lost ${summary.lost}, duplicated ${summary.duplicated}, unknown ${summary.outcomesUnknown}`,
  )
  return parts.join('\n')
}
