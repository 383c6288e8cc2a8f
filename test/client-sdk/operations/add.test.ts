// Goal: who hears that a message is refused for good hears it after everything that was sent of it. Method: a client's machine that
// is told, in one turn, of two epochs that are over and of a full disk.
import { expect, it } from 'vitest'
import { ClientMachine } from '../../../client-sdk/machine.ts'
import { One } from '../../../client-sdk/operations/waiters.ts'
import type { Configuration } from '../../../proto/configuration.ts'
import { address, clusterId, epoch, parseServerName, topicName } from '../../../proto/ids.ts'
import type { Effect } from '../../../proto/machine/contract.ts'
import type { Message } from '../../../proto/wire/messages.ts'

const cluster = clusterId('11111111-2222-4333-8444-555555555555')
const server = parseServerName('a@11111111-2222-4333-8444-666666666666')
const at = address('127.0.0.1:1')
const topic = topicName('t')

function configuration(of: number): Configuration {
  return {
    ...{ topic, epoch: epoch(of), service: 'multicast', mode: 'single', decider: 'engine' },
    ...{ members: [{ name: server, address: at }], membersMin: 1, order: 'fifo', floor: epoch(1), base: 0 },
  }
}

it('refuses what has no room behind what it sent in the same turn', () => {
  const machine = new ClientMachine({ seeds: [at], random: { below: () => 0 }, clock: { nowMs: () => 1_000 } })
  const happened: string[] = []
  const turn = (...runs: ((out: Effect[]) => void)[]) => {
    const out: Effect[] = []
    for (const call of runs) machine.step({ kind: 'call', call }, out)
    machine.step({ kind: 'turn' }, out)
    for (const effect of out) {
      if (effect.kind === 'settle') effect.target.settle()
      else if (effect.kind === 'send' && effect.message.kind === 'batch')
        happened.push(`sent in ${effect.message.epoch}`)
    }
  }
  const hear = (message: Message) => {
    const envelope = { cluster, from: server, token: 0 }
    return (out: Effect[]) =>
      machine.step({ kind: 'frame', from: at, frame: { envelope, message, bytes: Buffer.of() } }, out)
  }
  turn(hear({ kind: 'identity', member: { name: server, address: at }, cluster: { id: cluster, arbiters: [] } }))
  const publisher = machine.createPublisher(topic)
  turn((out) => machine.follower(topic).heard(configuration(1), out))
  turn((out) => machine.follower(topic).add(publisher, out))
  const waiter = new One(
    () => {},
    ({ code }) => happened.push(code),
    false,
  )
  publisher.publish(Buffer.from('m'), waiter)
  turn()
  expect(happened.splice(0)).toEqual(['sent in 1'])
  const moved = (of: number) => {
    const decision = { next: configuration(of), closing: new Map(), changeId: `${of}` }
    return hear({ kind: 'moved', topic, epoch: epoch(of - 1), newest: decision.next, decision })
  }
  turn(moved(2), () => machine.servers.full.note(server, true), moved(3))
  expect(happened).toEqual(['sent in 2', 'EC_DISK_FULL'])
})
