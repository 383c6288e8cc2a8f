// Goal: a message that only a server may send is not taken from anybody else, whatever name stands in its envelope. Method: every kind
// of the message table, generated with meaning, brought to servers at work by a stranger under the name of a member, and by a server
// that is not the one that may send it.
import { beforeEach, describe, expect, it } from 'vitest'
import type { Sender } from '../../proto/wire/entry.ts'
import { kinds, type Message, type MessageKind, table } from '../../proto/wire/messages.ts'
import { MessageGenerator } from '../../sim/attack/generate.ts'
import { seededRandom } from '../../sim/seeded-random.ts'
import { World } from '../../sim/world/world.ts'

const topic = 't'
let world: World

beforeEach(() => {
  world = new World({ seed: 7 })
  world.bootstrap(['a', 'b', 'c', 'd'], ['a', 'b', 'c'])
  const client = world.client('x')
  client.create(topic, { members: ['a', 'b', 'c'], mode: 'fault-masking', order: 'total' })
  client.add(topic, 'first', 'republish')
  world.tick(100)
})

/** Who may send what, said a second time: a cell of the table that is turned is not what is tested then. Clients may send all others. */
const may: Readonly<Record<Exclude<Sender, 'client'>, readonly MessageKind[]>> = {
  anyone: ['introduce', 'identity', 'join', 'joined'],
  newcomer: ['alive', 'prove'],
  server: [
    ...(['refused', 'moved', 'pulled', 'decisions', 'progress', 'changed', 'preload', 'preloaded', 'staged'] as const),
    ...(['decided', 'enabled', 'note', 'lookup', 'list-noted', 'located', 'condition', 'topics', 'directory'] as const),
    ...(['engines', 'parts', 'forgot', 'declined', 'attendance'] as const),
  ],
  member: [
    ...(['stored', 'expected', 'opened', 'room', 'report', 'held', 'wedged', 'outranked', 'accepted'] as const),
    ...(['start', 'started'] as const),
  ],
  coordinator: ['wedge', 'stage', 'accept', 'working', 'arbiter-prepare', 'arbiter-accept'],
  arbiter: [
    ...(['arbiter-promised', 'arbiter-accepted', 'arbiter-outranked', 'arbiter-closed', 'noted', 'found'] as const),
    'noted-topics',
  ],
}
const clientsMay: readonly MessageKind[] = [
  ...([
    'batch',
    'ask-room',
    'subscribe',
    'attend',
    'credit',
    'unsubscribe',
    'collect',
    'complete',
    'pull',
    'chain',
  ] as const),
  ...([
    'reconfigure',
    'locate',
    'inquire',
    'list-topics',
    'list-servers',
    'list-engines',
    'shown',
    'list-parts',
  ] as const),
  'forget',
]
const from = (...senders: readonly (keyof typeof may)[]) => senders.flatMap((sender) => may[sender])

it('of every kind it is said who may send it', () => {
  const all = [...clientsMay, ...Object.values(may).flat()]
  expect(all.toSorted()).toEqual(kinds.toSorted())
  for (const kind of clientsMay) expect([kind, table[kind].from]).toEqual([kind, 'client'])
})

function sample(kind: MessageKind, seed: number, coordinator = 'a'): Message {
  const generator = new MessageGenerator(seededRandom(seed), {
    topic: () => topic,
    epoch: () => 1,
    coordinator: () => world.server(coordinator).name,
    Member: () => world.server('a').member,
  })
  return generator.message([kind])
}

/** Brings a message to server b. @returns what it sent, wrote and counted because of it */
function bring(message: Message, address: string, name: string) {
  const before = world.trace.length
  const { drops } = world.server('b').machine ?? {}
  const counted = drops?.count('not-permitted', message.kind) ?? 0
  world.inject(address, 'b', message, world.cluster?.id ?? '', name)
  world.runUntil(world.now)
  const since = world.trace.slice(before)
  const sent = since.filter((event) => event.what === 'send' && event.parcel.from === 'b')
  const answers = sent.flatMap((event) => (event.what === 'send' ? [event.parcel.to] : []))
  return {
    answers: answers.filter((to) => to === address),
    refused: (drops?.count('not-permitted', message.kind) ?? 0) - counted,
    alive: world.server('b').alive,
  }
}

const refused = { answers: [], refused: 1, alive: true }

describe('a stranger under the name of a member', () => {
  for (const kind of from('server', 'member', 'coordinator', 'arbiter')) {
    it(`sends no ${kind}`, () => {
      for (let seed = 1; seed <= 5; seed++)
        expect(bring(sample(kind, seed), 'mallory', world.server('a').name)).toEqual(refused)
    })
  }

  for (const kind of from('newcomer')) {
    it(`does not speak of another by ${kind}`, () => {
      expect(bring(sample(kind, 1), 'mallory', world.server('a').name)).toEqual(refused)
    })
  }
})

describe('a server that is not a member', () => {
  for (const kind of from('member')) {
    it(`sends no ${kind}`, () => {
      expect(bring(sample(kind, 1), 'd', world.server('d').name)).toEqual(refused)
    })
  }
})

describe('a server that is no arbiter', () => {
  for (const kind of from('arbiter')) {
    it(`sends no ${kind}`, () => {
      expect(bring(sample(kind, 1), 'd', world.server('d').name)).toEqual(refused)
    })
  }
})

describe('a server that the stake does not name', () => {
  for (const kind of from('coordinator')) {
    it(`sends no ${kind}`, () => {
      expect(bring(sample(kind, 1, 'a'), 'c', world.server('c').name)).toEqual(refused)
    })
  }
})

it('what is only written is no message', () => {
  for (const kind of ['opening', 'remembered', 'lives']) expect(kinds).not.toContain(kind)
})
