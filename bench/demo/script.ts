/** What happens to the servers and the topic while the lines stream. */
import type { Admin, ChangeResult, ChangeTimes, Progress, ReconfigureOptions } from '../../client-sdk/index.ts'
import { serverIdOf } from '../../proto/ids.ts'
import type { Servers } from './servers.ts'
import type { Substrate } from './substrate.ts'

/** In this order: start a server, kill one, change the topic, start the killed one again. */
export interface Step {
  readonly kind: string
  readonly about: string
  readonly start?: string
  readonly kill?: string
  /** It is killed once the change has come so far; without, before the change is asked for. */
  readonly killAt?: string
  readonly change?: Pick<ReconfigureOptions, 'members' | 'mode'>
  readonly restart?: boolean
  /** The leader of the engine that decides is killed once the change has come so far, and started again after the change. */
  readonly loseLeaderAt?: string
}

/** The first five are the arbiters, of which no two are ever down at once. */
export const serverIds = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'] as const
export const firstMembers = ['a', 'b', 'c'] as const

const steps: readonly Step[] = [
  { kind: 'restart', about: 'kill b (fault-masking a,b,c goes on), start it again', kill: 'b', restart: true },
  { kind: 'disjoint', about: 'a,b,c -> d,e,f', change: { members: ['d', 'e', 'f'] } },
  {
    kind: 'to-fault-recovery',
    about: 'fault-masking d,e,f -> fault-recovery f,g',
    change: { mode: 'fault-recovery', members: ['f', 'g'] },
  },
  { kind: 'replace-dead', about: 'kill f, f,g -> g,h', kill: 'f', change: { members: ['g', 'h'] } },
  {
    kind: 'to-fault-masking',
    about: 'fault-recovery g,h -> fault-masking a,b,c',
    change: { mode: 'fault-masking', members: ['a', 'b', 'c'] },
  },
  {
    kind: 'grow',
    about: 'start f again, a,b,c -> a,b,c,f,h',
    start: 'f',
    change: { members: ['a', 'b', 'c', 'f', 'h'] },
  },
  {
    kind: 'shrink',
    about: 'kill c, a,b,c,f,h -> b,f,h',
    kill: 'c',
    change: { members: ['b', 'f', 'h'] },
    restart: true,
  },
  { kind: 'to-single', about: 'fault-masking b,f,h -> single e', change: { mode: 'single', members: ['e'] } },
  {
    kind: 'from-single',
    about: 'single e -> fault-masking d,e,f',
    change: { mode: 'fault-masking', members: ['d', 'e', 'f'] },
  },
  {
    kind: 'lose-coordinator',
    about: 'd,e,f -> a,b,c; d coordinates and is killed as it wedges',
    kill: 'd',
    killAt: 'wedge',
    change: { members: ['a', 'b', 'c'] },
    restart: true,
  },
  { kind: 'roll', about: 'a new epoch of the same a,b,c', change: {} },
]

/** Only where the engine has a leader that may be killed. */
const loseLeader: Step = {
  kind: 'lose-engine-leader',
  about: 'a,b,c -> d,e,f; the NATS server that leads the decisions is killed as they wedge',
  change: { members: ['d', 'e', 'f'] },
  loseLeaderAt: 'wedge',
}

export function stepsWith(substrate: Pick<Substrate, 'hasLeader'>): readonly Step[] {
  return substrate.hasLeader ? [...steps, loseLeader] : steps
}

/** One step that has been made. Times are those of `performance.now()`. */
export interface StepResult {
  readonly kind: string
  readonly about: string
  readonly beganMs: number
  readonly endedMs: number
  /** Null when no epoch ended. */
  readonly times: ChangeTimes | null
}

export interface Stage {
  readonly servers: Servers
  readonly substrate: Substrate
  readonly admin: Admin
  readonly topic: string
  readonly signal: AbortSignal
  /** What is being done right now. */
  now(text: string): void
}

/** @throws Error when the step could not be made as it is written */
export async function perform(step: Step, stage: Stage): Promise<StepResult> {
  const { servers, now } = stage
  const { kind, about, kill, killAt } = step
  now(kind)
  if (step.start !== undefined) await servers.start(step.start)
  const beganMs = performance.now()
  if (kill !== undefined && killAt === undefined) await servers.kill(kill)
  const result = step.change === undefined ? null : await reconfigure(step, stage)
  const changedMs = performance.now()
  if (kill !== undefined && step.restart === true) await servers.start(kill)
  now('')
  const endedMs = step.change === undefined ? performance.now() : changedMs
  return { kind, about, beganMs, endedMs, times: result?.times ?? null }
}

async function reconfigure(
  step: Step,
  { servers, substrate, admin, topic, signal, now }: Stage,
): Promise<ChangeResult> {
  const { kind, change, kill, killAt, loseLeaderAt } = step
  const { decider } = substrate
  let killing: Promise<void> | null = null
  let losing: Promise<string | null> | null = null
  const onProgress = ({ phase }: Progress) => {
    now(`${kind}: ${phase}`)
    if (phase === killAt && kill !== undefined) killing ??= servers.kill(kill)
    if (phase === loseLeaderAt) losing ??= substrate.loseLeader()
  }
  const result = await admin.reconfigure(topic, { ...change, ...(decider && { decider }), signal, onProgress }).enabled
  const lost = await (losing as Promise<string | null> | null)
  if (loseLeaderAt !== undefined && lost === null) throw new Error(`${kind}: there was no leader to kill`)
  if (lost !== null) await substrate.restart(lost)
  if (killAt !== undefined && killing === null) throw new Error(`${kind}: ${kill} was to be killed at ${killAt}`)
  await killing
  const { members, mode, epoch } = result.configuration
  const got = members.map((member) => serverIdOf(member.name)).join(',')
  const wanted = change?.members?.join(',') ?? got
  if (got !== wanted || mode !== (change?.mode ?? mode)) {
    throw new Error(`${kind}: epoch ${epoch} is ${mode} on ${got}, not ${change?.mode ?? mode} on ${wanted}`)
  }
  return result
}
