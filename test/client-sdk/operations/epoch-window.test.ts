// Goal: an acknowledged run says what the acknowledgements of its quorum meant together; a publisher that is refused everything for
// want of space finds out that its members are gone. Method: one window of three members, answers by hand.
import { crc32 } from 'node:zlib'
import { expect, it } from 'vitest'
import { FullServers } from '../../../client-sdk/full-servers.ts'
import { addLimits, EpochWindow } from '../../../client-sdk/operations/epoch-window.ts'
import { OutgoingDraft } from '../../../client-sdk/operations/outgoing.ts'
import { One } from '../../../client-sdk/operations/waiters.ts'
import type { Configuration, Member } from '../../../proto/configuration.ts'
import { address, epoch, publisherId, serverId, serverName, topicName } from '../../../proto/ids.ts'
import type { Effect } from '../../../proto/machine/contract.ts'
import { Timers } from '../../../proto/machine/timers.ts'
import type { Sync } from '../../../proto/sync.ts'

const members = ['a', 'b', 'c'].map((id, at) => ({
  name: serverName(serverId(id), `00000000-0000-4000-8000-00000000000${at}`),
  address: address(id),
}))
const publisher = publisherId('0123456789abcdef')

function configuration(mode: 'fault-masking' | 'fault-recovery'): Configuration {
  const base = { topic: topicName('t'), epoch: epoch(1), service: 'multicast', decider: 'engine', sequencer: undefined }
  return { ...base, mode, members, membersMin: 1, order: 'fifo', floor: epoch(1), base: 0 } as unknown as Configuration
}

/** What a message's result says after these members have acknowledged it, in this order. */
async function syncAfter(mode: 'fault-masking' | 'fault-recovery', acks: readonly [number, Sync][]): Promise<unknown> {
  const of = configuration(mode)
  const servers = { addressOf: (member: Member) => member.address, isUp: () => true, full: new FullServers() }
  const ports = { timers: new Timers(), isWaiting: () => false, stuck: () => {} }
  const window = new EpochWindow(of, publisher, servers, addLimits, ports)
  const draft = new OutgoingDraft()
  draft.add(Buffer.from('x'))
  const result = new Promise((resolve, reject) => draft.wait(new One(resolve, reject, false)))
  const outgoing = draft.take(crc32, 0)
  const out: Effect[] = []
  window.add(outgoing, out)
  for (const [at, sync] of acks) {
    const said = { topic: of.topic, epoch: of.epoch, publisher, end: 1, ...(sync !== 'always' && { sync }) }
    window.stored(members[at]?.name ?? members[0]!.name, { kind: 'stored', ...said }, out)
  }
  outgoing.conclude('durable')
  outgoing.settle()
  return ((await result) as { sync: Sync }).sync
}

it('is the weakest of the quorum that completed it', async () => {
  expect(
    await syncAfter('fault-masking', [
      [0, 'always'],
      [1, 'always'],
    ]),
  ).toBe('always')
  expect(
    await syncAfter('fault-masking', [
      [0, 'always'],
      [1, 'memory'],
    ]),
  ).toBe('memory')
  expect(
    await syncAfter('fault-masking', [
      [2, 'interval 20'],
      [1, 'interval 500'],
    ]),
  ).toBe('interval 500')
  expect(
    await syncAfter('fault-recovery', [
      [0, 'always'],
      [1, 'interval 20'],
      [2, 'always'],
    ]),
  ).toBe('interval 20')
})

it.each([
  { isAnswering: true, isUp: true, told: 'refuses' },
  { isAnswering: false, isUp: true, told: 'takes what is published' },
  { isAnswering: false, isUp: false, told: 'takes what is published, and looks for its topic' },
])('short of room, with answers: $isAnswering, connected: $isUp, it $told', ({ isAnswering, isUp, told }) => {
  const of = configuration('fault-masking')
  const timers = new Timers()
  const full = new FullServers(timers)
  const servers = { addressOf: (member: Member) => member.address, isUp: () => isUp, full }
  let looks = false
  const ports = {
    timers,
    isWaiting: () => !window.isShort,
    stuck: () => {
      looks = true
    },
  }
  const window = new EpochWindow(of, publisher, servers, addLimits, ports)
  const names = members.slice(0, 2).map(({ name }) => name)
  for (const name of names) full.note(name, true)
  for (let ticks = 1; ticks <= 1_000; ticks++) {
    const out: Effect[] = []
    timers.pass(ticks)
    timers.ring(out)
    // The end of a turn: something waits, and there is no room for it.
    if (!window.isShort && !window.hasRoom) window.wait(out)
    const isAsked = out.some((effect) => effect.kind === 'send' && effect.message.kind === 'ask-room')
    if (!isAsked || !isAnswering) continue
    for (const name of names) window.room(name, { kind: 'room', topic: of.topic, epoch: of.epoch, isThere: false }, out)
  }
  expect(window.isShort ? 'refuses' : `takes what is published${looks ? ', and looks for its topic' : ''}`).toBe(told)
})
