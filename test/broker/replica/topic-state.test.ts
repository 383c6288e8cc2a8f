// Goal: what one server has staged is forgotten where it differs from what is to be handed on, and only there. Method: the state of one
// topic alone: some batches stored, those behind them staged, and closing sets that end at each of them.
import { describe, expect, it } from 'vitest'
import { endlessRoom } from '../../../broker/host.ts'
import { TopicState } from '../../../broker/replica/topic-state.ts'
import { address, epoch, publisherId, serverId, serverName, topicName } from '../../../proto/ids.ts'
import type { Effect } from '../../../proto/machine/contract.ts'
import { chainDigest, type MessageSet } from '../../../proto/message-set.ts'
import type { Batch } from '../../../proto/wire/messages.ts'

const topic = topicName('t')
const publisher = publisherId('00000000000000aa')
const self = serverName(serverId('a'), '00000000-0000-4000-8000-000000000000')
const bytes = new Uint8Array(10)
const count = 6

function batch(number: number): Batch {
  return {
    kind: 'batch',
    topic,
    epoch: epoch(1),
    publisher,
    first: number,
    last: number,
    time: 0,
    check: number,
    body: bytes,
  }
}

/** What the publisher sent up to `end`, but for a forged batch where there is one. */
function closingAt(end: number, forged?: number): MessageSet {
  let digest = 0
  for (let last = 1; last <= end; last++) digest = chainDigest(digest, last, last === forged ? 1000 : last)
  return new Map([[publisher, { end, digest }]])
}

/** A member of epoch 1 that stored the first batches and staged the others. */
function stagedBehind(stored: number): TopicState {
  const state = new TopicState(topic, self, endlessRoom)
  const member = { name: self, address: address('a:1') }
  const next = { topic, epoch: epoch(1), service: 'multicast', mode: 'single', decider: 'engine', members: [member] }
  const decision = { changeId: 'c', next: { ...next, membersMin: 1, order: 'fifo', floor: epoch(1), base: 0 } }
  const out: Effect[] = []
  state.record({ kind: 'opening', topic, epoch: epoch(1), decision: { ...decision, closing: new Map() } } as never, out)
  for (let number = 1; number <= stored; number++) state.store(batch(number), bytes, out)
  for (let number = stored + 1; number <= count; number++) state.stage(batch(number), bytes, out)
  return state
}

const ends = Array.from({ length: count }, (_, at) => at + 1)

describe('what is staged behind what was stored', () => {
  for (const stored of [0, 1, 3, 5]) {
    it(`stays whole for a closing set that ends at any of its batches: ${stored} stored`, () => {
      for (const end of ends) {
        const state = stagedBehind(stored)
        state.dropForgeries(epoch(1), closingAt(end))
        expect([end, state.missing(epoch(1), closingAt(count))]).toEqual([end, 0])
      }
    })

    it(`is fetched anew where a batch up to the end of the closing set is another: ${stored} stored`, () => {
      for (const end of ends) {
        for (let forged = 1; forged <= end; forged++) {
          const state = stagedBehind(stored)
          state.dropForgeries(epoch(1), closingAt(end, forged))
          expect([end, forged, state.missing(epoch(1), closingAt(end, forged))]).toEqual([end, forged, end])
        }
      }
    })
  }
})
