// Goal: a plan that fails names who did not get what there is, and why. Method: a plan by hand, whose next member fetches nothing.
import { expect, it } from 'vitest'
import { Plan, type PlanListener } from '../../../broker/epoch/plan.ts'
import { limits } from '../../../broker/host.ts'
import type { Configuration, Intent } from '../../../proto/configuration.ts'
import { address, epoch, serverId, serverName, topicName } from '../../../proto/ids.ts'
import type { Message } from '../../../proto/wire/messages.ts'
import { hostOf } from '../engines/outside-proposer.ts'

const [a, c] = ['a', 'c'].map((id) => ({
  name: serverName(serverId(id), '00000000-0000-4000-8000-000000000000'),
  address: address(id),
}))

/** The reason of a change from a to c, where c says that it lacks messages and gets none. */
function reasonOf(isFull: boolean): string {
  if (a === undefined || c === undefined) throw new Error('no members')
  const topic = topicName('t')
  const shared = {
    topic,
    service: 'multicast',
    mode: 'single',
    decider: 'engine',
    membersMin: 1,
    order: 'fifo',
  } as const
  const old: Configuration = { ...shared, epoch: epoch(1), members: [a], floor: epoch(1), base: 0 }
  const intent: Intent = { ...shared, changeId: 'x', members: [c] }
  let reason = ''
  const listener: PlanListener = {
    planned: () => {},
    preloading: () => {},
    failed: (_refusal, why) => {
      reason = why
    },
    outdated: () => {},
  }
  const host = hostOf(0)
  const plan = new Plan(old, intent, 1, { ...host, isFull: ({ name }) => isFull && name === c.name }, limits, listener)
  plan.begin([])
  plan.engineReady([])
  const condition = { kind: 'condition', topic, epoch: old.epoch, phase: 'open', configuration: old, stored: new Map() }
  plan.take(a.name, condition as never as Message, [])
  plan.take(c.name, { ...condition, phase: 'absent', configuration: undefined } as never as Message, [])
  plan.take(c.name, { kind: 'preloaded', topic, epoch: old.epoch, missing: 12 } as never as Message, [])
  for (let tick = 0; tick <= limits.planTicks + 1; tick++) {
    host.timers.pass(tick)
    host.timers.ring([])
  }
  return reason
}

it('says whose disk is full, and what to do', () => {
  expect(reasonOf(true)).toBe(
    'the disk of c is full, and what is there already does not fit: make space there, or name other servers',
  )
})

it('says who lacks how much where it is not that', () => {
  expect(reasonOf(false)).toBe('new members did not get the messages that are there already: c lacks 12')
})
