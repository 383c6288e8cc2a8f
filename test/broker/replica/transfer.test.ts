// Goal: whoever is to become a member gets what it lacks from any source that answers, whichever it asked before. Method: the transfer of
// one server alone; of its sources one is gone for good, and the other is silent for some time; two coordinators ask for it.
import { describe, expect, it } from 'vitest'
import { endlessRoom, type Host, limits } from '../../../broker/host.ts'
import { TopicState } from '../../../broker/replica/topic-state.ts'
import { Transfer } from '../../../broker/replica/transfer.ts'
import type { ServerTimer } from '../../../broker/timers.ts'
import { address, epoch, publisherId, serverId, serverName, topicName } from '../../../proto/ids.ts'
import type { Effect } from '../../../proto/machine/contract.ts'
import { Timers } from '../../../proto/machine/timers.ts'
import { chainDigest, type MessageSet } from '../../../proto/message-set.ts'
import type { Batch } from '../../../proto/wire/messages.ts'

const topic = topicName('t')
const publisher = publisherId('00000000000000aa')
const bytes = new Uint8Array(10)
const count = 5
const repeatTicks = 16
/** Requests are made again less often each time. */
const patienceTicks = 1500

function member(id: string) {
  return { name: serverName(serverId(id), '00000000-0000-4000-8000-000000000000'), address: address(id) }
}

function batch(last: number): Batch {
  return { kind: 'batch', topic, epoch: epoch(1), publisher, first: last, last, time: 0, check: last, body: bytes }
}

function stored(end: number): MessageSet {
  let digest = 0
  for (let last = 1; last <= end; last++) digest = chainDigest(digest, last, last)
  return new Map([[publisher, { end, digest }]])
}

const everything = stored(count)

/** @param gone the source that is believed to be dead, and is behind the other one */
function nextMember(gone: string) {
  const self = member('c')
  const state = new TopicState(topic, self.name, endlessRoom)
  const next = { topic, epoch: epoch(1), service: 'multicast', mode: 'fault-recovery', decider: 'engine' }
  const members = [member('a'), member('b')]
  const decision = { changeId: 'c', next: { ...next, members, membersMin: 1, order: 'fifo', floor: epoch(1), base: 0 } }
  state.record({ kind: 'decided', topic, epoch: epoch(0), decision: { ...decision, closing: new Map() } } as never, [])
  let token = 0
  const timers = new Timers<ServerTimer>()
  const host = {
    self,
    timers,
    room: endlessRoom,
    nextToken: () => ++token,
    addressOf: (of) => of.address,
    isAlive: (name) => name !== member(gone).name,
  } satisfies Partial<Host>
  return { state, timers, transfer: new Transfer(state, host as unknown as Host, limits) }
}

/** Brings what a source answers. */
function answer(transfer: Transfer, state: TopicState, asked: Effect, out: Effect[]): void {
  if (asked.kind !== 'send') return
  const { token, message } = asked
  if (message.kind !== 'pull' && message.kind !== 'subscribe') return
  const since = state.present(epoch(1)).get(publisher)?.end ?? 0
  for (let last = since + 1; last <= count; last++) transfer.batch(token, batch(last), bytes, out)
  const pulled = { kind: 'pulled', topic, epoch: epoch(1), more: false, unheld: false, resume: 0 } as const
  if (message.kind === 'pull') transfer.pulled(pulled, out)
}

describe('a transfer from two sources', () => {
  for (const gone of ['a', 'b']) {
    it(`ends where ${gone} is gone for good and the other answers, soon or late`, () => {
      const stuck: number[] = []
      for (let from = 0; from < 400; from += 7) {
        const { state, timers, transfer } = nextMember(gone)
        const sourcesOf = (end: number) =>
          [member('a'), member('b')].map((one) => ({
            member: one,
            stored: one.address === address(gone) ? stored(count - 2) : stored(end),
          }))
        let out: Effect[] = []
        for (let tick = 0; tick < from + patienceTicks && state.missing(epoch(1), everything) > 0; tick++) {
          const asked = out
          out = []
          for (const effect of asked) {
            const to = effect.kind === 'send' ? effect.to : []
            if (tick >= from && !to.includes(address(gone))) answer(transfer, state, effect, out)
          }
          // Two coordinators prepare for changes; one of them asked the sources earlier.
          if (tick % repeatTicks === 0) transfer.aim(epoch(1), null, sourcesOf(count), out)
          if (tick % repeatTicks === repeatTicks / 2) transfer.aim(epoch(1), null, sourcesOf(count - 1), out)
          timers.pass(tick + 1)
          timers.ring(out)
        }
        if (state.missing(epoch(1), everything) > 0) stuck.push(from)
      }
      expect(stuck).toEqual([])
    })
  }
})
