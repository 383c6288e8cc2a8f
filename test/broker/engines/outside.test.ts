// Goal: a server asks its outside engines how they are now and then, and about an epoch again while an answer is wanted, and no more.
// Method: the machine alone, with answers by hand; time passes tick by tick.
import { describe, expect, it } from 'vitest'
import type { ProposalListener } from '../../../broker/engines/engine.ts'
import { OutsideEngines } from '../../../broker/engines/outside.ts'
import type { Decision } from '../../../proto/configuration.ts'
import { clusterId, epoch, topicName } from '../../../proto/ids.ts'
import type { Effect } from '../../../proto/machine/contract.ts'
import type { EngineAnswer } from '../../../proto/machine/engine-port.ts'
import { emptySet } from '../../../proto/message-set.ts'
import { messageBytes } from '../../../proto/wire/codec.ts'
import { memberOf } from './conformance.ts'
import { hostOf, pass } from './outside-proposer.ts'

const topic = topicName('t')
const decision: Decision = {
  changeId: 'c',
  next: {
    ...{ topic, epoch: epoch(2), service: 'multicast', mode: 'fault-recovery', decider: 'engine' },
    ...{ members: [memberOf('a'), memberOf('b')], membersMin: 1, order: 'fifo', floor: epoch(1), base: 0 },
  },
  closing: emptySet,
}
const ready: EngineAnswer = { kind: 'checked', instance: '1', findings: [] }
const nobody: ProposalListener = { ready: () => {}, decided: () => {}, closed: () => {} }

function outside() {
  const host = hostOf(0)
  const machine = new OutsideEngines(host, [{ id: 'main', type: 'memory' }], () =>
    clusterId('00000000-0000-4000-8000-0000000000c1'),
  )
  let token = 0
  const kinds = (out: readonly Effect[]) =>
    out.flatMap((effect) => {
      if (effect.kind !== 'engine') return []
      token = effect.token
      return [effect.call.kind]
    })
  return {
    host,
    machine,
    run: (step: (out: Effect[]) => void) => {
      const out: Effect[] = []
      step(out)
      return kinds(out)
    },
    answers: (answer: EngineAnswer) => machine.take('main', answer.kind === 'checked' ? 0 : token, answer, []),
    /** @returns what it asks in so many ticks, each with its tick */
    passes: (ticks: number) => {
      const asked: string[] = []
      for (let left = ticks; left > 0; left--) {
        const out: Effect[] = []
        pass(host.timers, out)
        for (const kind of kinds(out)) asked.push(`${kind} at ${host.timers.now}`)
      }
      return asked
    },
  }
}

describe('how an engine is', () => {
  it('is asked at the begin, every ten seconds while it is ready, and every second while it is not', () => {
    const { machine, passes, answers } = outside()
    expect(passes(100)).toEqual([])
    machine.begin()
    expect(passes(1)).toEqual(['check at 101'])
    passes(4)
    answers(ready)
    expect(passes(2_500)).toEqual(['check at 1105', 'check at 2105'])
    answers({ kind: 'unknown', reason: 'it is down' })
    expect(passes(250)).toEqual(['check at 2705', 'check at 2805'])
  })

  it('is asked soon where somebody looks, but not for every look', () => {
    const { machine, passes, answers } = outside()
    machine.begin()
    passes(1)
    answers(ready)
    passes(500)
    machine.states()
    machine.states()
    expect(passes(1)).toEqual(['check at 502'])
    machine.states()
    expect(passes(150)).toEqual(['check at 602'])
  })
})

describe('an epoch', () => {
  it('is asked about again until there is an answer, and then nothing is', () => {
    const { host, machine, run, passes, answers } = outside()
    let decided = 0
    const listener = { ...nobody, decided: () => void decided++ }
    expect(run((out) => machine.open('engine:main@1', topic, epoch(1), listener, out).propose(decision, out))).toEqual([
      'read',
      'propose',
    ])
    expect(passes(249)).toEqual([])
    expect(passes(12)).toHaveLength(1)
    answers({ kind: 'unknown', reason: 'it is down' })
    expect(passes(20)).toHaveLength(1)
    const value = messageBytes({ kind: 'decided', topic, epoch: epoch(1), decision })
    answers({ kind: 'holds', value })
    // How it is remains a question: it failed last.
    expect([decided, host.timers.list().map(({ name }) => name)]).toEqual([1, ['engine-check']])
  })

  it('costs nothing while an engine that is ready waits for a proposal, nor once it was given up', () => {
    const { host, machine, run, passes, answers } = outside()
    const opened: { cancel(): void; propose(decision: Decision, out: Effect[]): void }[] = []
    run((out) => opened.push(machine.open('engine:main@1', topic, epoch(1), nobody, out)))
    answers({ kind: 'empty' })
    expect(host.timers.nextDue).toBe(null)
    run((out) => opened[0]?.propose(decision, out))
    expect(host.timers.nextDue).not.toBe(null)
    opened[0]?.cancel()
    expect(run((out) => opened[0]?.propose(decision, out))).toEqual([])
    expect([host.timers.nextDue, passes(1_000)]).toEqual([null, []])
  })
})
