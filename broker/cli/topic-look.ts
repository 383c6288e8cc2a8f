/**
 * How a topic is, judged by more than one look: its configuration and its members are asked one after the other, so what a look finds
 * may be of the moment while an epoch ends. A fault is what looks find again, with nothing having moved between them.
 */
import type { Client, Configuration, ReplicaInfo, ServerInfo } from '../../client-sdk/index.ts'
import { EpochcastError } from '../../proto/errors.ts'
import type { Context } from './context.ts'
import { type Health, healthOf } from './health.ts'
import { pause } from './pause.ts'
import { findTopic } from './topics.ts'

/** What one look finds. */
export interface TopicLook {
  readonly configuration: Configuration
  readonly replicas: readonly ReplicaInfo[]
  readonly servers: readonly ServerInfo[]
  readonly health: Health
}

export interface JudgedTopic extends TopicLook {
  /** Its epochs, or its members, moved from look to look until the last: nothing is known to be wrong. */
  readonly isMoving: boolean
}

/** What is asked of the cluster. */
export interface LookPorts {
  /** @throws EpochcastError */
  look(): Promise<TopicLook>
  /** @throws EpochcastError */
  newest(): Promise<Configuration>
  pause(milliseconds: number): Promise<void>
}

/** How long the state of one member is waited for, in milliseconds. */
const replicaTimeoutMs = 1_000
/** Pauses between two looks, in milliseconds: what a change takes on a busy machine, and what others take to finish one. */
const pausesMs = [250, 500, 1_000, 2_000]

/** @throws EpochcastError what a look throws; `EC_UNAVAILABLE` only where the look after it throws that again */
export async function judge(ports: LookPorts): Promise<JudgedTopic> {
  let before = await attempt(ports)
  for (const pauseMs of pausesMs) {
    if (await isSettled(before, ports)) break
    await ports.pause(pauseMs)
    const again = await attempt(ports)
    const isSame = keyOf(again) === keyOf(before)
    const isLast = pauseMs === pausesMs.at(-1)
    before = again
    // A change under way is given all the time there is.
    if (isSame && (isLast || !isChange(again))) break
    if (isLast && !(await isSettled(again, ports)) && !(again instanceof EpochcastError)) return movingStill(again)
  }
  if (before instanceof EpochcastError) throw before
  return { ...before, isMoving: false }
}

/** A look, or why there was none where that may be of the moment. */
async function attempt({ look }: LookPorts): Promise<TopicLook | EpochcastError> {
  try {
    return await look()
  } catch (error) {
    if (error instanceof EpochcastError && error.code === 'EC_UNAVAILABLE') return error
    throw error
  }
}

/** Whether a look needs no second one: all is well; or members are silent, and no epoch ended while they were asked. */
async function isSettled(found: TopicLook | EpochcastError, { newest }: LookPorts): Promise<boolean> {
  if (found instanceof EpochcastError || found.health.state !== 'open') return false
  if (found.health.silent.length === 0) return true
  return (await newest()).epoch === found.configuration.epoch
}

function isChange(found: TopicLook | EpochcastError): boolean {
  return !(found instanceof EpochcastError) && (found.health.state === 'changing' || found.health.state === 'starting')
}

/** Equal for two looks between which nothing moved. */
function keyOf(found: TopicLook | EpochcastError): string {
  if (found instanceof EpochcastError) return found.code
  const { configuration, replicas, health } = found
  const members = replicas.map(({ server, phase, epoch, stagedCount }) => [server, phase, epoch, stagedCount])
  return JSON.stringify([configuration.epoch, health.state, health.full, members])
}

/** What is no state of a topic, but two of them in one look, is not called one. */
function movingStill(found: TopicLook): JudgedTopic {
  const { health } = found
  if (isChange(found)) return { ...found, isMoving: true }
  const text = 'its epochs change faster than its servers can be asked; nothing is known to be wrong'
  return { ...found, health: { ...health, state: 'changing', text }, isMoving: true }
}

/**
 * Judges a topic of a cluster.
 * @throws EpochcastError `EC_UNKNOWN_TOPIC`, and what asking throws
 */
export function judgeTopic(context: Context, client: Client, name: string): Promise<JudgedTopic> {
  const newest = () => findTopic(client, name, context.limits())
  return judge({
    newest,
    look: async () => {
      const configuration = await newest()
      const replicas = await client.admin.replicas(name, context.questionLimits(replicaTimeoutMs))
      const servers = await client.admin.servers(context.limits())
      return { configuration, replicas, servers, health: healthOf(configuration, replicas, servers) }
    },
    pause: (milliseconds) => pause(milliseconds, context.signal),
  })
}
