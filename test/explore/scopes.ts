/** What is explored: small casts of servers, coordinators and messages. */
import { crc32 } from 'node:zlib'
import { BodyWriter } from '../../client-sdk/entries.ts'
import type { Configuration, Decider, Decision, Intent, Mode } from '../../proto/configuration.ts'
import { address, epoch, type PublisherId } from '../../proto/ids.ts'
import { emptySet } from '../../proto/message-set.ts'
import type { Scope } from './explorer.ts'
import {
  ArbiterNode,
  CoordinatorNode,
  EngineNode,
  memberOf,
  type Node,
  type Parcel,
  ProposerNode,
  ServerNode,
  topic,
} from './nodes.ts'

const publishers = ['00000000000000a1', '00000000000000b2'] as unknown as readonly PublisherId[]

interface Change {
  readonly id: string
  readonly members: readonly string[]
  readonly mode?: Mode
}

interface Cast {
  readonly name: string
  readonly about: string
  readonly mode: Mode
  readonly decider: Decider
  readonly members: readonly string[]
  readonly changes: readonly Change[]
  /** Each is under way to all members, or to these. */
  readonly messages: readonly (readonly string[] | 'all')[]
  readonly restarts?: number
  readonly timeouts?: number
  /** Whose timeouts may fire. */
  readonly waiting?: readonly string[]
  readonly relay?: boolean
  readonly drops?: (parcel: Parcel) => boolean
}

const casts: readonly Cast[] = [
  {
    name: 'stakes',
    about: 'fault-masking {1,2,3}, two coordinators with the same members, two messages',
    mode: 'fault-masking',
    decider: 'stakes',
    members: ['1', '2', '3'],
    changes: [
      { id: 'A', members: ['1', '2', '3'] },
      { id: 'B', members: ['1', '2', '3'] },
    ],
    messages: ['all', ['1', '2']],
  },
  {
    name: 'restart',
    about: 'fault-masking {1,2,3}, two coordinators, one message, a server that restarts',
    mode: 'fault-masking',
    decider: 'stakes',
    members: ['1', '2', '3'],
    changes: [
      { id: 'A', members: ['1', '2', '3'] },
      { id: 'B', members: ['1', '2', '3'] },
    ],
    messages: [['1', '2']],
    restarts: 1,
  },
  {
    name: 'relay',
    about: 'fault-masking {1,2,3}, three coordinators one after another, up to the decision',
    mode: 'fault-masking',
    decider: 'stakes',
    members: ['1', '2', '3'],
    changes: [
      { id: 'A', members: ['1', '2', '3'] },
      { id: 'B', members: ['1', '2', '3'] },
      { id: 'C', members: ['1', '2', '3'] },
    ],
    messages: [],
    relay: true,
    drops: isAboutTheStart,
  },
  {
    name: 'votes',
    about: 'the same with two coordinators, and start votes that reach server 1',
    mode: 'fault-masking',
    decider: 'stakes',
    members: ['1', '2', '3'],
    changes: [
      { id: 'A', members: ['1', '2', '3'] },
      { id: 'B', members: ['1', '2', '3'] },
    ],
    messages: [],
    relay: true,
    drops: (parcel) => isAboutTheStart(parcel) && !(parcel.message.kind === 'start' && parcel.to === '1'),
  },
  {
    name: 'newcomer',
    about: 'fault-masking {1,2,3} to {2,3,4}, one message, a server that restarts',
    mode: 'fault-masking',
    decider: 'stakes',
    members: ['1', '2', '3'],
    changes: [{ id: 'A', members: ['2', '3', '4'] }],
    messages: ['all'],
    restarts: 1,
  },
  {
    name: 'fault-recovery',
    about:
      'fault-recovery {1,2}, one coordinator to {2,3}, one to {1,3}, two messages, an engine, a server that restarts',
    mode: 'fault-recovery',
    decider: 'engine',
    members: ['1', '2'],
    changes: [
      { id: 'A', members: ['2', '3'] },
      { id: 'B', members: ['1', '3'] },
    ],
    messages: ['all', 'all'],
    restarts: 1,
    timeouts: 2,
    waiting: ['A', 'B'],
  },
  {
    name: 'mode-switch',
    about: 'fault-masking {1,2,3} by stakes to fault-recovery {1,4}, two coordinators, one message',
    mode: 'fault-masking',
    decider: 'stakes',
    members: ['1', '2', '3'],
    changes: [
      { id: 'A', members: ['1', '4'], mode: 'fault-recovery' },
      { id: 'B', members: ['2', '3', '4'] },
    ],
    messages: [['1', '2']],
  },
]

function isAboutTheStart({ message: { kind } }: Parcel): boolean {
  return kind === 'start' || kind === 'decided' || kind === 'started' || kind === 'enabled'
}

export const scopes: readonly Scope[] = [...casts.map(scopeOf), arbiterScope()]

function scopeOf(cast: Cast): Scope {
  const servers = [...new Set([...cast.members, ...cast.changes.flatMap(({ members }) => members)])].sort()
  const first = firstDecision(cast)
  const configuration = first.next
  const nodes = new Map<string, () => Node>()
  for (const id of servers) nodes.set(id, () => new ServerNode(id, [first]))
  for (const change of cast.changes)
    nodes.set(change.id, () => new CoordinatorNode(change.id, configuration, intentOf(change, cast)))
  if (cast.decider === 'engine') nodes.set('e', () => new EngineNode())
  return {
    name: cast.name,
    about: cast.about,
    configuration,
    servers,
    publishers,
    voters: cast.members,
    nodes,
    beginners: cast.changes.map(({ id }) => id),
    parcels: cast.messages.flatMap((to, at) => batches(at, to === 'all' ? cast.members : to)),
    restarting: servers,
    restarts: cast.restarts ?? 0,
    waiting: cast.waiting ?? [],
    timeouts: cast.timeouts ?? 0,
    ...(cast.relay === true && { relay: true }),
    ...(cast.drops && { drops: cast.drops }),
  }
}

/** The register of the built-in engine: three arbiters, one of which restarts, and three proposers. */
function arbiterScope(): Scope {
  const servers = ['1', '2', '3']
  const members = servers.map(memberOf)
  const first = firstDecision({ mode: 'fault-recovery', decider: 'engine', members: ['1', '2'] })
  const proposers = ['A', 'B', 'C']
  const nodes = new Map<string, () => Node>()
  for (const id of servers) nodes.set(id, () => new ArbiterNode(id))
  for (const id of proposers) {
    const next = { ...first.next, epoch: epoch(2) }
    nodes.set(id, () => new ProposerNode(id, members, { changeId: id, next, closing: emptySet }))
  }
  return {
    name: 'arbiters',
    about: 'three arbiters, three proposers of one register, an arbiter that restarts',
    configuration: first.next,
    servers,
    publishers: [],
    voters: servers,
    nodes,
    beginners: proposers,
    parcels: [],
    restarting: servers,
    restarts: 1,
    waiting: [],
    timeouts: 0,
  }
}

function firstDecision(cast: Pick<Cast, 'mode' | 'decider' | 'members'>): Decision {
  const { mode, decider, members } = cast
  const next: Configuration = {
    topic,
    epoch: epoch(1),
    service: 'multicast',
    mode,
    decider,
    members: members.map(memberOf),
    membersMin: 1,
    order: 'fifo',
    floor: epoch(1),
    base: 0,
  }
  return { changeId: 'first', next, closing: emptySet }
}

function intentOf(change: Change, cast: Cast): Intent {
  const mode = change.mode ?? cast.mode
  const decider: Decider = mode === 'fault-masking' ? cast.decider : 'engine'
  return { changeId: change.id, members: change.members.map(memberOf), mode, decider, membersMin: 1, order: 'fifo' }
}

function batches(at: number, to: readonly string[]): Parcel[] {
  const writer = new BodyWriter()
  writer.add(Buffer.from(`m${at}`))
  const body = writer.take()
  const publisher = publishers[at] as PublisherId
  const message = {
    kind: 'batch',
    topic,
    epoch: epoch(1),
    publisher,
    first: 1,
    last: 1,
    time: 0,
    check: crc32(body),
    body,
  } as const
  return to.map((one) => ({
    from: `p${at}`,
    to: address(one),
    token: 0,
    message: message as unknown as Parcel['message'],
  }))
}
