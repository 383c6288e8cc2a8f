/** Asking for an epoch change, and following it to its end. */
import type { Configuration, Decider, Decision, Mode, Order } from '../proto/configuration.ts'
import { asRefusal } from '../proto/door/refusal.ts'
import { EpochcastError } from '../proto/errors.ts'
import { epoch, serverIdOf } from '../proto/ids.ts'
import type { Message, MessageOf, PhaseTimes, Refusal } from '../proto/wire/messages.ts'
import { printableDecision } from './printing.ts'
import { refusalError } from './refusals.ts'
import type { Question } from './requests.ts'
import type { Servers } from './servers.ts'
import { deferred, type OpenWaits, type WaitOptions, waitFor } from './waiting.ts'

/** What a topic is to be. Whatever is left out comes from the servers' configuration. */
export interface TopicOptions {
  readonly mode?: Mode
  readonly decider?: Decider
  /** Number of servers, chosen by the cluster. */
  readonly size?: number
  /** Server ids, where they are to be chosen by hand. */
  readonly members?: readonly string[]
  /** A change that finds fewer live servers waits. */
  readonly membersMin?: number
  readonly order?: Order
}

export interface ReconfigureOptions extends TopicOptions {
  /** The epoch that the change is meant for; another one makes it fail. By default the newest at the call. `any`: whatever. */
  readonly expectEpoch?: number | 'any'
  /** Asking again with the same id gives the result of the first. */
  readonly changeId?: string
  readonly onProgress?: (progress: Progress) => void
}

export interface Progress {
  readonly phase: string
  readonly detail: string
}

/** Milliseconds that the phases of a change took. */
export interface ChangeTimes {
  readonly planMs: number
  readonly wedgeMs: number
  readonly stageMs: number
  readonly decideMs: number
  readonly startMs: number
}

export interface ChangeResult {
  readonly changeId: string
  readonly configuration: Configuration
  readonly decision: Decision
  readonly times: ChangeTimes
}

/** An epoch change under way. */
export interface Change {
  readonly id: string
  /** The next configuration is decided: it will not be another. Rejects with `EC_SUPERSEDED` when another change won. */
  readonly decided: Promise<ChangeResult>
  /** The next epoch takes operations. */
  readonly enabled: Promise<ChangeResult>
  /** Ids of old members that may stop now: nothing in the cluster needs them any more. */
  readonly retirable: Promise<readonly string[]>
  /** Old members that this topic does not need any more, and that have other parts: they must not stop. */
  readonly stillNeeded: Promise<readonly ServerParts[]>
}

/** What a server is needed for. */
export interface ServerParts {
  readonly server: string
  readonly isArbiter: boolean
  /** Topics that have it as a member, or need what it holds until a change is over. */
  readonly topics: readonly string[]
  /** False where neither the server nor a majority of the arbiters answered: more topics may need it. */
  readonly isSure: boolean
}

/** Silence of a coordinator after which another server is asked. */
const coordinatorRetryTicks = 200

/** What one server could not do another one may be doing. */
const mayComeFromAnother: readonly Refusal[] = ['transfer-failed', 'no-decider', 'busy', 'too-few-servers']

/** Who hears how a change goes. */
export interface ChangeListener {
  decided(result: ChangeResult): void
  enabled(result: ChangeResult): void
  /** Servers that this topic does not need any more. */
  released(servers: readonly string[]): void
}

/** The same, with what the released servers are still needed for. */
export interface ChangePorts extends Omit<ChangeListener, 'released'> {
  retirable(servers: readonly string[]): void
  stillNeeded(servers: readonly ServerParts[]): void
}

/** Runs a change and turns what it tells into promises; a failure rejects those that are still open. */
export function follow(id: string, run: (told: ChangePorts) => Promise<void>): Change {
  const decided = deferred<ChangeResult>()
  const enabled = deferred<ChangeResult>()
  const retirable = deferred<readonly string[]>()
  const stillNeeded = deferred<readonly ServerParts[]>()
  const all = [decided, enabled, retirable, stillNeeded]
  // Who waits for one of them only is not to be told of the others.
  for (const one of all) one.promise.catch(() => {})
  const told = {
    decided: decided.resolve,
    enabled: enabled.resolve,
    retirable: retirable.resolve,
    stillNeeded: stillNeeded.resolve,
  }
  run(told).catch((error: unknown) => {
    for (const one of all) one.reject(error)
  })
  return {
    id,
    decided: decided.promise,
    enabled: enabled.promise,
    retirable: retirable.promise,
    stillNeeded: stillNeeded.promise,
  }
}

/** Asks the members of `current` to end its epoch, one after the other until one takes the change on. */
export function requestChange(
  waits: OpenWaits,
  current: Configuration,
  changeId: string,
  options: ReconfigureOptions & WaitOptions,
  servers: Servers,
  ask: (question: Question) => () => void,
  told: ChangeListener,
): Promise<void> {
  const { topic } = current
  const expected = options.expectEpoch ?? current.epoch
  const expectedEpoch = epoch(expected === 'any' ? 0 : expected)
  const message: Message = { kind: 'reconfigure', topic, epoch: expectedEpoch, changeId, ...templateOf(options) }
  const members = current.members.map((member) => servers.addressOf(member))
  // Each server that was asked may have taken the change on: only when all of them refused, nothing will come of it.
  let asked = 0
  let refused = 0
  const to = () => {
    asked++
    return servers.inOrder([...new Set([...members, ...servers.addresses()])])
  }
  let last = ''
  return waitFor<void>(waits, options, `change of ${topic}`, (resolve, reject) => {
    const answer = (reply: Message): boolean => {
      if (reply.kind === 'progress' && `${reply.phase} ${reply.detail}` !== last) {
        last = `${reply.phase} ${reply.detail}`
        const fault = heard(options.onProgress, { phase: reply.phase, detail: reply.detail })
        if (fault !== null) {
          reject(fault)
          return true
        }
      }
      // A server that is behind: the next one is asked.
      if (reply.kind === 'refused' && reply.refusal === 'not-yet') return false
      if (reply.kind === 'refused') {
        refused++
        if (refused < asked && mayComeFromAnother.includes(reply.refusal)) return false
        reject(refusalError(topic, reply))
        return true
      }
      if (reply.kind !== 'changed') return false
      if (reply.superseded) {
        reject(superseded(reply))
        return true
      }
      tell(reply, told)
      if (reply.final) resolve()
      return reply.final
    }
    return ask({ message, to, answer, failed: reject, retryTicks: coordinatorRetryTicks })
  })
}

/** Tells how a change goes. @returns what the listener threw: it does not hear of the rest, and the change goes on without it */
function heard(onProgress: ReconfigureOptions['onProgress'], progress: Progress): EpochcastError | null {
  try {
    onProgress?.(progress)
    return null
  } catch (error) {
    return asRefusal(error, 'onProgress threw, and the change is not followed any more; it may still be made')
  }
}

export function templateOf(options: TopicOptions) {
  const { mode, decider, size, membersMin, order } = options
  return {
    members: options.members ?? [],
    ...(mode && { mode }),
    ...(decider && { decider }),
    ...(size !== undefined && { size }),
    ...(membersMin !== undefined && { membersMin }),
    ...(order && { order }),
  }
}

function tell(reply: MessageOf<'changed'>, told: ChangeListener): void {
  const result = resultOf(reply)
  told.decided(result)
  if (reply.enabled) told.enabled(result)
  if (reply.final) told.released(reply.retirable.map(serverIdOf))
}

function superseded({ topic, decision }: MessageOf<'changed'>): EpochcastError {
  const { epoch: winner, mode } = decision.next
  const text = `epoch ${winner - 1} of ${topic} was ended by change ${decision.changeId}: ${mode} is epoch ${winner}`
  return new EpochcastError('EC_SUPERSEDED', text, { hint: 'look at the topic again, then decide' })
}

function resultOf(message: MessageOf<'changed'>): ChangeResult {
  const { changeId, decision, times } = message
  const result = { changeId, configuration: decision.next, decision: printableDecision(decision) }
  return { ...result, times: inMilliseconds(times) }
}

function inMilliseconds(times: PhaseTimes): ChangeTimes {
  return {
    planMs: times.planUs / 1000,
    wedgeMs: times.wedgeUs / 1000,
    stageMs: times.stageUs / 1000,
    decideMs: times.decideUs / 1000,
    startMs: times.startUs / 1000,
  }
}
