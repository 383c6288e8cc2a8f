/**
 * Which stream may decide: one message for each subject, the first one, for ever. Read from the server itself, which enforces it.
 *
 * What no client can read is how often servers flush: every `sync_interval`, by default two minutes. A proposal that was
 * acknowledged survives the death of processes and of a minority of machines; a power failure of all at once may undo it.
 */
import type { StreamConfig, StreamInfo } from '@nats-io/jetstream'
import type { Finding } from '../../proto/wire/messages.ts'

type Settings = Pick<
  StreamConfig,
  | 'name'
  | 'subjects'
  | 'num_replicas'
  | 'storage'
  | 'retention'
  | 'discard'
  | 'discard_new_per_subject'
  | 'max_msgs_per_subject'
  | 'max_msgs'
  | 'max_bytes'
  | 'max_age'
  | 'max_msg_size'
  | 'deny_delete'
  | 'deny_purge'
  | 'allow_rollup_hdrs'
  | 'allow_direct'
>

/** Write-once registers as a stream's settings. */
export function registerStream(name: string, prefix: string, replicas: number): Settings {
  return {
    name,
    subjects: [`${prefix}.>`],
    num_replicas: replicas,
    storage: 'file' as Settings['storage'],
    retention: 'limits' as Settings['retention'],
    discard: 'new' as Settings['discard'],
    discard_new_per_subject: true,
    max_msgs_per_subject: 1,
    max_msgs: -1,
    max_bytes: -1,
    max_age: 0,
    max_msg_size: -1,
    deny_delete: true,
    deny_purge: true,
    allow_rollup_hdrs: false,
    allow_direct: false,
  }
}

/** What makes each setting differ from a write-once register. */
const why: Partial<Record<keyof Settings, string>> = {
  storage: 'decisions are gone when its servers stop',
  retention: 'it throws decisions away',
  discard: 'it throws old decisions away for new ones',
  discard_new_per_subject: 'it takes a second decision in place of the first',
  max_msgs_per_subject: 'it takes more than one decision for an epoch',
  max_msgs: 'it is full some day',
  max_bytes: 'it is full some day',
  max_age: 'it forgets decisions',
  deny_delete: 'decisions can be deleted',
  deny_purge: 'decisions can be deleted',
  allow_rollup_hdrs: 'a decision can be replaced',
}

/** Lessen what it can take, and undo nothing. */
const harmless = new Set<keyof Settings>(['max_msgs', 'max_bytes'])

/** @param wanted replicas that the configuration asks for; null where it leaves them open */
export function judgeStream(
  { config, cluster }: StreamInfo,
  expected: Settings,
  version: string,
  wanted: number | null,
): Finding[] {
  const findings: Finding[] = []
  for (const key of Object.keys(why) as (keyof Settings)[]) {
    const [is, should] = [config[key], expected[key]]
    // What is switched off may be left out.
    if (is === should || (is === undefined && (should === false || should === 0))) continue
    const verdict = harmless.has(key) ? 'warn' : 'fail'
    const text = `stream ${config.name} has ${key} ${String(is)}, not ${String(should)}: ${why[key]}`
    findings.push({ verdict, text, hint: 'use a stream that epochcast makes itself' })
  }
  if (!config.subjects.includes(expected.subjects[0] ?? '')) {
    const text = `stream ${config.name} takes ${config.subjects.join(', ')}, not ${expected.subjects[0]}`
    findings.push({ verdict: 'fail', text, hint: 'say its prefix, or another stream' })
  }
  if (config.mirror !== undefined || (config.sources ?? []).length > 0) {
    const text = `stream ${config.name} is filled by others: what it holds is not decided here`
    findings.push({ verdict: 'fail', text, hint: 'use a stream that epochcast makes itself' })
  }
  findings.push(...judgeReplicas(config.num_replicas, cluster, wanted), judgeFlushing(version, config.num_replicas))
  if (!findings.some(({ verdict }) => verdict === 'fail')) {
    const text = `nats-server ${version}, stream ${config.name}, ${copies(config.num_replicas)}: one decision for each epoch`
    findings.unshift({ verdict: 'ok', text })
  }
  return findings
}

function judgeReplicas(replicas: number, cluster: StreamInfo['cluster'], wanted: number | null): Finding[] {
  const findings: Finding[] = []
  if (replicas === 1) {
    const text =
      'one copy of each decision: while its server is down changes wait, and with its disk all decisions are lost'
    findings.push({ verdict: 'warn', text, hint: 'three nats-servers and replicas: 3 survive one of them' })
  } else if (replicas % 2 === 0) {
    const hint = 'an odd number survives as many, and answers sooner'
    findings.push({ verdict: 'warn', text: `${replicas} copies survive no more than ${replicas - 1}`, hint })
  }
  if (wanted !== null && wanted !== replicas) {
    const text = `stream has ${copies(replicas)}, the configuration says ${wanted}`
    findings.push({ verdict: 'warn', text, hint: `nats stream edit --replicas ${wanted}` })
  }
  const away = (cluster?.replicas ?? []).filter(({ current, offline }) => offline === true || !current)
  if (away.length > 0) {
    const names = away.map(({ name }) => name).join(', ')
    const rest = `${away.length} of ${replicas} copies are away or behind: ${names}`
    findings.push({ verdict: 'warn', text: rest, hint: 'start them again; a majority is needed to decide' })
  }
  return findings
}

function judgeFlushing(version: string, replicas: number): Finding {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  const who = replicas === 1 ? 'its machine' : 'a majority of its machines at once'
  const cost = `a power failure of ${who} may undo what was decided in the last two minutes`
  if (major < 2 || (major === 2 && minor < 10)) {
    const hint = 'use nats-server 2.10 or newer with sync_interval: always'
    return { verdict: 'warn', text: `nats-server ${version} flushes every two minutes: ${cost}`, hint }
  }
  const hint = 'say sync_interval: always under jetstream on each server; a client cannot read whether it is said'
  return { verdict: 'warn', text: `unless its servers flush every write, ${cost}`, hint }
}

function copies(count: number): string {
  return count === 1 ? 'one copy' : `${count} copies`
}
