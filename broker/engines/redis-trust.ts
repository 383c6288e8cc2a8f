/**
 * Which Redis may decide: one that has every acknowledged write on its disk, is alone, and throws nothing away. Read from the
 * server itself; a replica that is promoted, or a write that was only in memory, would undo a decision.
 */
import type { Finding } from '../../proto/wire/messages.ts'

/** `INFO` as keys and values. */
export function parseInfo(text: string): Map<string, string> {
  const info = new Map<string, string>()
  for (const line of text.split(/\r?\n/)) {
    const at = line.indexOf(':')
    if (at > 0 && !line.startsWith('#')) info.set(line.slice(0, at), line.slice(at + 1))
  }
  return info
}

/** `CONFIG GET` answers keys and values in turn. */
export function parseConfigAnswer(answer: unknown): Map<string, string> {
  const config = new Map<string, string>()
  const flat = Array.isArray(answer)
    ? answer.map(String)
    : Object.entries(answer ?? {})
        .flat()
        .map(String)
  for (let at = 0; at + 1 < flat.length; at += 2) config.set(flat[at] ?? '', flat[at + 1] ?? '')
  return config
}

/** Settings that `judgeRedis` reads. */
export const settings = [
  'appendonly',
  'appendfsync',
  'no-appendfsync-on-rewrite',
  'maxmemory',
  'maxmemory-policy',
] as const

interface Wanted {
  readonly setting: (typeof settings)[number]
  readonly value: string
  readonly why: string
}

const wanted: readonly Wanted[] = [
  { setting: 'appendonly', value: 'yes', why: 'a restart forgets decisions' },
  { setting: 'appendfsync', value: 'always', why: 'a crash of the machine forgets decisions that were acknowledged' },
  {
    setting: 'no-appendfsync-on-rewrite',
    value: 'no',
    why: 'while it rewrites its file, a crash of the machine forgets decisions that were acknowledged',
  },
]

/**
 * @param force what would make it unfit is only a warning: whoever says so accepts that a decision may be undone
 * @param config null where the server does not tell
 */
export function judgeRedis(
  info: ReadonlyMap<string, string>,
  config: ReadonlyMap<string, string> | null,
  force: boolean,
): Finding[] {
  const findings: Finding[] = []
  const fail = (text: string, hint: string) =>
    findings.push({
      verdict: force ? 'warn' : 'fail',
      text: force ? `${text}; it decides all the same (force)` : text,
      hint,
    })
  const version = info.get('redis_version') ?? '?'
  // Without these commands nothing works: no force helps.
  if (!(Number(version.split('.')[0]) >= 7)) {
    findings.push({
      verdict: 'fail',
      text: `redis ${version} does not know SET NX GET`,
      hint: 'use redis 7.0 or newer',
    })
  }
  if (config === null) {
    fail('it does not tell its settings (CONFIG GET), so nobody knows what it keeps', 'allow CONFIG GET to this user')
  } else {
    for (const { setting, value, why } of wanted) {
      const is = config.get(setting)
      if (is !== value)
        fail(
          `${setting} is ${is ?? 'not known'}: ${why}`,
          `say ${setting} ${value} in its configuration file, and restart it`,
        )
    }
    const policy = config.get('maxmemory-policy') ?? '?'
    if (policy !== 'noeviction') {
      const limit = config.get('maxmemory') === '0' ? ' as soon as somebody sets maxmemory' : ''
      fail(`maxmemory-policy is ${policy}: it throws decisions away${limit}`, 'set maxmemory-policy noeviction')
    }
  }
  judgeRole(info, fail)
  if (info.get('aof_last_write_status') === 'err') {
    findings.push({
      verdict: 'fail',
      text: 'it cannot write its append-only file',
      hint: 'look at its disk and its log',
    })
  }
  if (!findings.some(({ verdict }) => verdict === 'fail')) {
    const text = `redis ${version}, alone${force ? '' : '; every decision is on its disk before it is acknowledged'}`
    findings.unshift({ verdict: 'ok', text })
  }
  return findings
}

function judgeRole(info: ReadonlyMap<string, string>, fail: (text: string, hint: string) => void): void {
  const [role, mode, replicas] = [info.get('role'), info.get('redis_mode'), info.get('connected_slaves')]
  if (mode !== 'standalone') {
    fail(`it runs as ${mode ?? '?'}: a fail-over undoes decisions`, 'use a single redis-server of its own')
  }
  if (role !== 'master') fail('it is a replica: what it takes is thrown away', 'name the server that it follows')
  if (replicas !== '0') {
    const text = `it has ${replicas ?? '?'} replica: if one is promoted, it may lack decisions`
    fail(text, 'take the replica away, or use a redis-server of its own')
  }
}
