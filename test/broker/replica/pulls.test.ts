// Goal: what is queued for one receiver is bounded, however often it asks. Method: pulls of a replica's state alone, with a receiver
// that takes nothing until it is told to.
import { describe, expect, it } from 'vitest'
import { endlessRoom } from '../../../broker/host.ts'
import { Outlets } from '../../../broker/outlets.ts'
import { Pulls } from '../../../broker/replica/pulls.ts'
import { TopicState } from '../../../broker/replica/topic-state.ts'
import type { ServerTimer } from '../../../broker/timers.ts'
import { address, epoch, publisherId, serverId, serverName, topicName } from '../../../proto/ids.ts'
import type { Effect } from '../../../proto/machine/contract.ts'
import { Timers } from '../../../proto/machine/timers.ts'
import type { Batch, MessageOf } from '../../../proto/wire/messages.ts'

const topic = topicName('t')
const publisher = publisherId('00000000000000aa')
const self = serverName(serverId('a'), '00000000-0000-4000-8000-000000000000')
const batchBytes = 100_000
const pull: MessageOf<'pull'> = { kind: 'pull', topic, epoch: epoch(1), since: new Map(), bytesMax: 400_000, resume: 0 }

function batch(first: number): Batch {
  const body = new Uint8Array(batchBytes)
  return { kind: 'batch', topic, epoch: epoch(1), publisher, first, last: first, time: 0, check: 0, body }
}

/** A topic with twenty batches, and a receiver's queue. */
function asked() {
  const state = new TopicState(topic, self, endlessRoom)
  const member = { name: self, address: address('a:1') }
  const next = { topic, epoch: epoch(1), service: 'multicast', mode: 'single', decider: 'engine', members: [member] }
  const decision = { changeId: 'c', next: { ...next, membersMin: 1, order: 'fifo', floor: epoch(1), base: 0 } }
  const opening = { kind: 'opening', topic, epoch: epoch(1), decision: { ...decision, closing: new Map() } }
  const out: Effect[] = []
  state.record(opening as never, out)
  for (let number = 1; number <= 20; number++) state.store(batch(number), new Uint8Array(batchBytes), out)
  const queue = { bytes: 0 }
  const outlets = new Outlets(() => queue.bytes)
  const timers = new Timers<ServerTimer>()
  const pulls = new Pulls(state, outlets, 8 * 1024 * 1024, timers)
  /** @returns tokens of the answers that leave now */
  const turn = (isTick = false): number[] => {
    const sent: Effect[] = []
    if (isTick) timers.pass(timers.now + 1)
    timers.ring(sent)
    pulls.settle(sent)
    outlets.turnEnded()
    queue.bytes += sent.filter(({ kind }) => kind === 'send-record').length * batchBytes
    return sent.flatMap((effect) => (effect.kind === 'send' ? [effect.token] : []))
  }
  return { pulls, queue, turn }
}

describe('pulls', () => {
  it('queue no more than a bound for one receiver, and wait in order for the rest', () => {
    const { pulls, queue, turn } = asked()
    for (let token = 1; token <= 20; token++) pulls.ask(address('client:x'), token, pull)
    expect(turn()).toEqual([1, 2, 3])
    expect(turn()).toEqual([])
    expect(queue.bytes).toBeLessThan(2 * 1024 * 1024)
    queue.bytes = 0
    expect(turn()).toEqual([4, 5, 6])
  })

  it('answer a question that is asked again once, and as it was asked last', () => {
    const { pulls, queue, turn } = asked()
    queue.bytes = 2 * 1024 * 1024
    for (let time = 0; time < 50; time++) pulls.ask(address('client:x'), 7, { ...pull, resume: 19 })
    pulls.ask(address('client:x'), 8, { ...pull, resume: 19 })
    expect(pulls.count).toBe(2)
    queue.bytes = 0
    expect(turn()).toEqual([7, 8])
    expect(queue.bytes).toBe(2 * batchBytes)
  })

  it('forget what nobody waits for any more', () => {
    const { pulls, queue, turn } = asked()
    queue.bytes = 100 * 1024 * 1024
    pulls.ask(address('client:x'), 1, pull)
    pulls.ask(address('client:y'), 2, pull)
    pulls.forget(address('client:y'))
    expect(pulls.count).toBe(1)
    for (let tick = 0; tick < 1_001; tick++) expect(turn(true)).toEqual([])
    expect(pulls.count).toBe(0)
  })

  it('answer a patient question although feeds keep the queue long', () => {
    const { pulls, queue, turn } = asked()
    queue.bytes = 4 * 1024 * 1024
    pulls.ask(address('client:x'), 1, pull)
    const answers = Array.from({ length: 200 }, () => turn(true)).flat()
    expect(answers).toEqual([1])
  })
})

describe('a full disk', () => {
  it('neither stores nor stages a batch, and says so', () => {
    const state = new TopicState(topic, self, { full: true, admits: () => false })
    const out: Effect[] = []
    expect(state.stage(batch(1), new Uint8Array(batchBytes), out)).toBe(false)
    expect(out).toEqual([])
    expect(state.stagedCount).toBe(0)
  })
})
