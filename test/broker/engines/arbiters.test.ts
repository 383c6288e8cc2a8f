// Goal: what is asked of the arbiters is asked again while it is wanted, ends soon where too few of them are alive, and leaves no timer
// behind. Method: the proposer's machine alone, with answers by hand; time passes tick by tick.
import { describe, expect, it } from 'vitest'
import { type ArbiterAnswer, Arbiters } from '../../../broker/engines/arbiters.ts'
import type { Proposal, ProposalListener } from '../../../broker/engines/engine.ts'
import { limits } from '../../../broker/host.ts'
import type { Decision, Member } from '../../../proto/configuration.ts'
import { epoch, topicName } from '../../../proto/ids.ts'
import type { Effect } from '../../../proto/machine/contract.ts'
import { emptySet } from '../../../proto/message-set.ts'
import type { Stake } from '../../../proto/stake.ts'
import { memberOf } from './conformance.ts'
import { hostOf, pass } from './outside-proposer.ts'

const topic = topicName('t')
const members = ['p', 'q', 'r'].map(memberOf) as [Member, Member, Member]
const [p, q] = members
const nobody: ProposalListener = { ready: () => {}, decided: () => {}, closed: () => {} }
const decision: Decision = {
  changeId: 'c',
  next: {
    ...{ topic, epoch: epoch(2), service: 'multicast', mode: 'fault-masking', decider: 'engine' },
    ...{ members, membersMin: 1, order: 'fifo', floor: epoch(1), base: 0 },
  },
  closing: emptySet,
}

function proposer() {
  const alive = new Set(members.map(({ name }) => name))
  const host = { ...hostOf(0), isAlive: (name: Member['name']) => alive.has(name) }
  const arbiters = new Arbiters(host, limits, () => members)
  let last: { token: number; stake: Stake | null } = { token: 0, stake: null }
  const said = (out: readonly Effect[]) =>
    out.flatMap((effect) => {
      if (effect.kind !== 'send') return []
      const { message, token } = effect
      last = { token, stake: 'stake' in message ? (message.stake as Stake) : null }
      return [message.kind]
    })
  return {
    arbiters,
    alive,
    names: () => host.timers.list().map(({ name }) => name),
    run: (step: (out: Effect[]) => void) => {
      const out: Effect[] = []
      step(out)
      return said(out)
    },
    answers: (from: Member, answer: (stake: Stake) => ArbiterAnswer) => {
      const out: Effect[] = []
      arbiters.take(from.name, last.token, answer(last.stake as Stake), out)
      return said(out)
    },
    /** @returns what is said in so many ticks, each with its tick */
    passes: (ticks: number) => {
      const all: string[] = []
      for (let left = ticks; left > 0; left--) {
        const out: Effect[] = []
        pass(host.timers, out)
        for (const kind of said(out)) all.push(`${kind} at ${host.timers.now}`)
      }
      return all
    },
  }
}

const of = { topic, epoch: epoch(1) }
const promised = (stake: Stake): ArbiterAnswer => ({ kind: 'arbiter-promised', ...of, stake })
const accepted = (stake: Stake): ArbiterAnswer => ({ kind: 'arbiter-accepted', ...of, stake })
const outranked = ({ round }: Stake): ArbiterAnswer => {
  return { kind: 'arbiter-outranked', ...of, promised: { round: round + 1, coordinator: p.name, incarnation: 9 } }
}

describe('a question', () => {
  const found: ArbiterAnswer = { kind: 'found', topic, epoch: epoch(0) }

  function asking() {
    const world = proposer()
    const told: string[] = []
    const ports = { found: () => told.push('found'), unanswered: (reason: string) => told.push(reason) }
    expect(world.run((out) => world.arbiters.lookup(topic, ports, out))).toEqual(['lookup'])
    return { ...world, told }
  }

  it('is asked again until a majority has answered', () => {
    const { passes, answers, told, names } = asking()
    answers(p, () => found)
    expect(passes(45)).toEqual(['lookup at 20', 'lookup at 40'])
    answers(q, () => found)
    expect([told, names(), passes(1_000)]).toEqual([['found'], [], []])
  })

  it('ends where nobody answers it, sooner where too few are alive', () => {
    const patient = asking()
    patient.passes(499)
    expect(patient.told).toEqual([])
    patient.passes(1)
    expect([patient.told.length, patient.names()]).toEqual([1, []])

    const bereft = asking()
    for (const { name } of [p, q]) bereft.alive.delete(name)
    bereft.arbiters.aliveChanged([])
    bereft.passes(99)
    expect(bereft.told).toEqual([])
    bereft.passes(1)
    expect([bereft.told.length, bereft.names()]).toEqual([1, []])
  })

  it('ends as soon as too few are alive, once it has waited for long', () => {
    const { passes, arbiters, alive, told, names } = asking()
    passes(150)
    alive.delete(p.name)
    arbiters.aliveChanged([])
    expect(told).toEqual([])
    alive.delete(q.name)
    arbiters.aliveChanged([])
    expect(told).toEqual([expect.stringContaining('0 of 3 arbiters answer')])
    expect(names()).toEqual([])
  })
})

describe('a proposal', () => {
  function proposing(listener = nobody) {
    const world = proposer()
    const opened: Proposal[] = []
    const said = world.run((out) => opened.push(world.arbiters.open(topic, epoch(1), listener, out)))
    expect(said).toEqual(['arbiter-prepare'])
    const [proposal] = opened as [Proposal]
    return { ...world, proposal }
  }

  it('repeats its step, waits for a value without any timer, and ends with none', () => {
    let decided = 0
    const { passes, answers, run, proposal, names } = proposing({ ...nobody, decided: () => void decided++ })
    expect(passes(12)).toEqual(['arbiter-prepare at 5', 'arbiter-prepare at 10'])
    for (const from of [p, q]) answers(from, promised)
    expect(passes(1_000)).toEqual([])
    expect(names()).toEqual([])
    expect(run((out) => proposal.propose(decision, out))).toEqual(['arbiter-accept'])
    expect(passes(6)).toEqual(['arbiter-accept at 1017'])
    for (const from of [p, q]) answers(from, accepted)
    expect([decided, names()]).toEqual([1, []])
  })

  it('gives way to a rival, and only then begins again', () => {
    const { passes, answers } = proposing()
    answers(p, outranked)
    answers(q, outranked)
    const said = passes(30)
    expect(said.length).toBeGreaterThan(3)
    // From the first one on it repeats its step, as ever.
    const [first = 0, second] = said.map((one) => Number(one.split(' ').at(-1)))
    expect([first <= 10, second]).toEqual([true, first + 5])
  })

  it('says who is missing, and leaves no timer behind when it is given up', () => {
    const told: string[] = []
    const { passes, alive, run, answers, proposal, names } = proposing({
      ...nobody,
      waiting: (text) => void told.push(text),
    })
    for (const { name } of [p, q]) alive.delete(name)
    passes(99)
    expect(told).toEqual([])
    passes(101)
    expect(told).toHaveLength(2)
    proposal.cancel()
    answers(p, promised)
    expect(run((out) => proposal.propose(decision, out))).toEqual([])
    expect([names(), passes(1_000)]).toEqual([[], []])
  })
})
