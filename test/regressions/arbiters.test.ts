// Goal: a register at the arbiters takes one decision, also when one process tries twice. Method: the real machines of proposers
// and arbiters, with frames handed over by the test, so that every order is the one that is written here.
import { describe, expect, it } from 'vitest'
import { Audience } from '../../broker/audience.ts'
import { Drops } from '../../broker/drops.ts'
import { Arbiter } from '../../broker/engines/arbiter.ts'
import { type ArbiterAnswer, Arbiters } from '../../broker/engines/arbiters.ts'
import type { ProposalListener } from '../../broker/engines/engine.ts'
import { endlessRoom, type Host, limits } from '../../broker/host.ts'
import { Outlets } from '../../broker/outlets.ts'
import type { ServerTimer } from '../../broker/timers.ts'
import type { Decision, Member } from '../../proto/configuration.ts'
import { type Address, address, epoch, serverId, serverName, topicName } from '../../proto/ids.ts'
import type { Effect } from '../../proto/machine/contract.ts'
import { Timers } from '../../proto/machine/timers.ts'
import { emptySet } from '../../proto/message-set.ts'
import { formatStake } from '../../proto/stake.ts'
import type { Message, MessageTo } from '../../proto/wire/messages.ts'

const topic = topicName('t')
const creation = epoch(0)
const members = ['a', 'b', 'c'].map(memberOf)

function memberOf(id: string, at: number): Member {
  return { name: serverName(serverId(id), `00000000-0000-4000-8000-00000000000${at}`), address: address(`${id}:1`) }
}

function decisionOf(changeId: string): Decision {
  const next = { topic, epoch: epoch(1), service: 'multicast', mode: 'fault-masking', decider: 'stakes' } as const
  return {
    changeId,
    next: { ...next, members, membersMin: 1, order: 'fifo', floor: epoch(1), base: 0 },
    closing: emptySet,
  }
}

/** Three arbiters, and proposers whose frames reach those that a test lets through. */
class Register {
  readonly decisions: string[] = []
  /** Which stakes were proposed, and for what. */
  readonly proposed = new Map<string, Set<string>>()
  readonly #arbiters = new Map(members.map((member) => [member.address, new Arbiter()]))

  proposer(self: Member, incarnation: number, timers = new Timers<ServerTimer>()): Arbiters {
    let token = 0
    const host: Host = {
      self,
      incarnation,
      random: { below: () => 0 },
      timers,
      nextToken: () => ++token,
      addressOf: (member) => member.address,
      isAlive: () => true,
      isSettled: () => true,
      alive: () => [],
      isFull: () => false,
      isCutOff: () => false,
      room: endlessRoom,
      audience: new Audience(new Timers(), 1, () => {}),
      outlets: new Outlets(),
      drops: new Drops(),
      sync: 'always',
      askDecider: () => {},
      askNewest: () => {},
      note: () => {},
      topicCount: () => 1,
      coordinate: () => {},
    }
    return new Arbiters(host, limits, () => members)
  }

  listener(): ProposalListener {
    return { ready: () => {}, decided: ({ changeId }) => void this.decisions.push(changeId), closed: () => {} }
  }

  /** Hands frames over until nobody says anything more; the arbiters take them in the order of `order`. */
  run(proposer: Arbiters, out: Effect[], reach: (to: Address, message: Message) => boolean, order = members): void {
    for (let effect = out.shift(); effect !== undefined; effect = out.shift()) {
      if (effect.kind !== 'send') continue
      const { message, token } = effect
      for (const { name, address: to } of order) {
        if (!effect.to.includes(to)) continue
        if (message.kind === 'arbiter-accept') this.#note(formatStake(message.stake), message.decision.changeId)
        if (!reach(to, message)) continue
        const answers: Effect[] = []
        this.#arbiters.get(to)?.take(address('proposer:1'), token, message as MessageTo<'arbiter'>, answers)
        for (const answer of answers) {
          if (answer.kind === 'send') proposer.take(name, answer.token, answer.message as ArbiterAnswer, out)
        }
      }
    }
  }

  #note(stake: string, changeId: string): void {
    this.proposed.set(stake, (this.proposed.get(stake) ?? new Set()).add(changeId))
  }
}

describe('arbiters', () => {
  it('take one decision for a register, when one process proposes twice and the first try reached one of them', () => {
    const register = new Register()
    const [a, b, c] = members as [Member, Member, Member]
    const out: Effect[] = []

    const first = register.proposer(a, 7)
    const given = first.open(topic, creation, register.listener(), out)
    given.propose(decisionOf('first'), out)
    register.run(first, out, (to, message) => message.kind !== 'arbiter-accept' || to === c.address)
    given.cancel()

    out.length = 0
    first.open(topic, creation, register.listener(), out).propose(decisionOf('second'), out)
    register.run(first, out, (to) => to !== c.address)

    // A rival that hears c first, and never a.
    out.length = 0
    const timers = new Timers<ServerTimer>()
    const rival = register.proposer(b, 9, timers)
    rival.open(topic, creation, register.listener(), out).propose(decisionOf('third'), out)
    const reach = (to: Address) => to !== a.address
    register.run(rival, out, reach, [c, b])
    for (let ticks = 1; ticks <= 100; ticks++) {
      timers.pass(ticks)
      timers.ring(out)
      register.run(rival, out, reach, [c, b])
    }

    expect(register.decisions.length).toBeGreaterThanOrEqual(2)
    expect(new Set(register.decisions).size).toBe(1)
    for (const [stake, changes] of register.proposed) expect([stake, changes.size]).toEqual([stake, 1])
  })
})
