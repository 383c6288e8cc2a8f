/** The log of a group: a topic with the members of the group's topic, read from the last epoch that begins with a snapshot. */
import type { Configuration, Decision } from '../../proto/configuration.ts'
import { type Epoch, epoch, previousEpoch, type TopicName } from '../../proto/ids.ts'
import { emptySet } from '../../proto/message-set.ts'
import { madeBeside } from '../companion.ts'
import { formatCursor } from '../cursor.ts'
import type { EpochFollower } from '../follower.ts'
import { decodeLogMessage } from './messages.ts'
import type { GroupPorts } from './ports.ts'

export interface LogStart {
  readonly configuration: Configuration
  /** Epoch to read from, and the change that began it. */
  readonly epoch: Epoch
  readonly changeId: string
  /** No epoch that is kept holds a record: the group is new. */
  readonly isEmpty: boolean
}

/** Finds the log, or makes it with its topic's members. */
export async function findLog(
  ports: GroupPorts,
  name: TopicName,
  topic: Configuration,
  signal: AbortSignal,
): Promise<LogStart> {
  const configuration = await madeBeside(ports.admin, name, topic, signal)
  for (let at = configuration.epoch; ; at = previousEpoch(at)) {
    const changeId = (await decisionThatBegan(ports, name, at))?.changeId ?? ''
    const isFirst = at <= configuration.floor
    if (await hasSnapshot(ports, name, at, changeId)) return { configuration, epoch: at, changeId, isEmpty: false }
    if (isFirst) return { configuration, epoch: at, changeId, isEmpty: true }
  }
}

async function hasSnapshot(ports: GroupPorts, name: TopicName, of: Epoch, changeId: string): Promise<boolean> {
  const since = formatCursor(ports.machine.cluster, name, { epoch: of, seen: emptySet })
  const { messages } = await ports.topic(name).get({ level: 'durable', since })
  return messages.some((message) => {
    if (message.epoch !== of) return false
    const read = decodeLogMessage(message.payload)
    return read?.kind === 'record' && read.index === 0 && read.claim === changeId
  })
}

/** The change that ended an epoch says which member leads the next one. */
function decisionThatBegan({ machine, loop }: GroupPorts, name: TopicName, of: Epoch): Promise<Decision | null> {
  const before = of > 0 ? previousEpoch(of) : epoch(0)
  return new Promise((resolve) => {
    const follower = machine.follower(name)
    const once: EpochFollower = {
      begun: (_configuration, out) => {
        follower.remove(once)
        follower.want(before, resolve, out)
      },
      moved: () => {},
      failed: () => {
        follower.remove(once)
        resolve(null)
      },
    }
    loop.call((out) => follower.add(once, out, false))
  })
}
