/** Planted bugs of stakes, proposals and the arbiters. */
import type { Mutant } from '../mutant.ts'

export const decisionMutants: readonly Mutant[] = [
  {
    id: '11',
    title: 'two coordinators share a stake: the coordinator is not part of it',
    edits: [
      {
        file: 'proto/stake.ts',
        find: 'return one.incarnation - other.incarnation',
        replace: 'return 0',
      },
      {
        file: 'proto/stake.ts',
        find: 'if (one.coordinator !== other.coordinator) return one.coordinator < other.coordinator ? -1 : 1\n',
        replace: '',
      },
    ],
    caughtBy: ['I4', 'I8', 'stop I10'],
  },
  {
    id: '12',
    title: 'a coordinator proposes its own although a report holds a proposal',
    edits: [
      {
        file: 'broker/epoch/coordinator.ts',
        find: "const adopted = this.old.decider === 'stakes' ? this.#reports.highestAccepted() : null",
        replace: "const adopted = null as ReturnType<Reports['highestAccepted']>",
      },
    ],
    caughtBy: ['I4', 'I5', 'stop I4'],
    stories: ['decided-behind-an-older-proposal', 'adopted-proposal'],
  },
  {
    id: '13',
    title: 'of several proposals the first is adopted',
    edits: [
      {
        file: 'broker/epoch/acceptor.ts',
        find: 'if (highest === null || compareStakes(proposal.stake, highest.stake) > 0) highest = proposal',
        replace: 'highest ??= proposal',
      },
    ],
    caughtBy: ['I4', 'trace'],
    stories: ['decided-behind-an-older-proposal', 'adopted-proposal'],
  },
  {
    id: '14',
    title: 'an accept below the promise is taken',
    edits: [
      {
        file: 'broker/epoch/acceptor.ts',
        find: '    if (!this.allows(stake)) return\n    const before',
        replace: '    const before',
      },
      {
        file: 'broker/epoch/closing.ts',
        find: '    const { topic, epoch, stake, decision } = message\n    const { acceptor } = opened\n    if (!acceptor.allows(stake)) {',
        replace:
          '    const { topic, epoch, stake, decision } = message\n    const { acceptor } = opened\n    if (stake.round < 0) {',
      },
    ],
    caughtBy: ['I9', 'I4'],
  },
  {
    id: '15',
    title: 'the accepted proposal is not written to disk',
    edits: [
      {
        file: 'broker/replica/topic-state.ts',
        find: "out.push({ kind: 'persist', record: 'protocol', bytes: messageBytes(record) })\n    this.#apply(record)",
        replace:
          "if (record.kind !== 'accept') out.push({ kind: 'persist', record: 'protocol', bytes: messageBytes(record) })\n    this.#apply(record)",
      },
    ],
    caughtBy: ['I8'],
  },
  {
    id: '25',
    title: 'of several proposals the most frequent is adopted',
    edits: [
      {
        file: 'broker/epoch/acceptor.ts',
        find: `  let highest: AcceptedProposal | null = null
  for (const proposal of proposals) {
    if (highest === null || compareStakes(proposal.stake, highest.stake) > 0) highest = proposal
  }
  return highest`,
        replace: `  const all = [...proposals]
  const like = (one: AcceptedProposal) => all.filter(({ decision }) => sameDecision(decision, one.decision)).length
  let frequent: AcceptedProposal | null = null
  for (const one of all) if (frequent === null || like(one) > like(frequent)) frequent = one
  return frequent`,
      },
    ],
    caughtBy: ['I4', 'trace'],
    stories: ['decided-behind-an-older-proposal', 'adopted-proposal'],
  },
  {
    id: '42',
    title: 'an arbiter has one register for all epochs of a topic',
    edits: [
      {
        file: 'broker/engines/arbiter.ts',
        find: 'let register = registers.get(epoch)',
        replace: 'let register = registers.values().next().value ?? registers.get(epoch)',
      },
    ],
    caughtBy: ['I4', 'I8', 'hang', 'stop I4'],
  },
  {
    id: '52',
    title: 'a coordinator that restarts uses its stakes again',
    edits: [
      {
        file: 'proto/stake.ts',
        find: 'return one.incarnation - other.incarnation',
        replace: 'return 0',
      },
    ],
    caughtBy: ['I4', 'I8', 'stop I10', 'stop I4'],
    stories: ['restarted-coordinator'],
  },
  {
    id: '53',
    title: 'accepts are counted per message, not per member',
    edits: [
      {
        file: 'broker/epoch/coordinator.ts',
        find: '    this.#accepts.add(from)\n',
        replace: '    this.#accepts.add((from + this.#accepts.size) as ServerName)\n',
      },
    ],
    caughtBy: ['I5'],
    stories: ['repeated-answers'],
  },
  {
    id: 'D1',
    title: 'promised and accepted stake are one variable',
    edits: [
      {
        file: 'broker/epoch/acceptor.ts',
        find: '    if (this.allows(stake)) this.promised = stake\n',
        replace: `    if (!this.allows(stake)) return
    this.promised = stake
    if (this.accepted !== null) this.accepted = { stake, decision: this.accepted.decision }
`,
      },
    ],
    caughtBy: ['I4', 'trace'],
    stories: ['decided-behind-an-older-proposal', 'adopted-proposal'],
  },
  {
    id: 'D2',
    title: 'an adopted proposal gets the members of the coordinator that adopts it',
    edits: [
      {
        file: 'broker/epoch/coordinator.ts',
        find: 'if (adopted !== null) this.#decide(adopted.decision, out)',
        replace: `if (adopted !== null) {
      const { decision } = adopted
      this.#decide({ ...decision, next: { ...decision.next, members: this.intent.members } }, out)
    }`,
      },
    ],
    caughtBy: ['I4', 'I5', 'T6'],
    stories: ['adopted-proposal'],
  },
  {
    id: 'D3',
    title: 'who adopts a proposal waits until its members have staged again',
    edits: [
      {
        file: 'broker/epoch/coordinator.ts',
        find: 'if (adopted !== null) this.#decide(adopted.decision, out)',
        replace: `if (adopted !== null) {
      const staging = new Staging(this.old, intentOf(adopted.decision), this.#reports)
      this.#stage(Object.assign(staging, { decision: adopted.decision }), out)
    }`,
      },
      {
        file: 'broker/epoch/coordinator.ts',
        find: '  type Intent,\n  isMember,',
        replace: '  type Intent,\n  intentOf,\n  isMember,',
      },
    ],
    caughtBy: ['hang', 'L2', 'trace'],
    stories: ['adopted-by-the-dead', 'adopted-proposal'],
  },
  {
    id: 'D4',
    title: 'start votes for equal decisions of different stakes are counted together',
    edits: [
      {
        file: 'broker/epoch/opening.ts',
        find: 'const votes = this.#votes.get(message.epoch) ?? new Map<ServerName, Stake>()',
        replace: `const votes = this.#votes.get(message.epoch) ?? new Map<ServerName, Stake>()
    const { changeId } = message.decision
    if ([...votes.values()].every((stake) => (stake as { changeId?: string }).changeId === changeId))
      for (const [name, stake] of votes) votes.set(name, { ...message.stake, changeId } as typeof stake)`,
      },
      {
        file: 'broker/epoch/opening.ts',
        find: 'votes.set(from, message.stake)',
        replace: 'votes.set(from, { ...message.stake, changeId } as typeof message.stake)',
      },
    ],
    caughtBy: ['I5', 'I4'],
    stories: ['votes-of-two-stakes'],
  },
  {
    id: 'D5',
    title: 'a lower stake is promised after a higher one',
    edits: [
      {
        file: 'broker/epoch/acceptor.ts',
        find: 'return this.promised === null || compareStakes(stake, this.promised) >= 0',
        replace: 'return this.promised === null || stake.round >= this.promised.round',
      },
    ],
    caughtBy: ['I9', 'I4'],
  },
  {
    id: 'D6',
    title: 'an arbiter does not write its promise to disk',
    edits: [
      {
        file: 'broker/engines/arbiter.ts',
        find: 'if (register.promised === null || !sameStake(register.promised, stake)) this.#record(message, out)',
        replace: 'if (register.promised === null || !sameStake(register.promised, stake)) register.promise(stake)',
      },
    ],
    caughtBy: ['I8'],
  },
  {
    id: 'D7',
    title: 'an arbiter does not write what it accepted to disk',
    edits: [
      {
        file: 'broker/engines/arbiter.ts',
        find: "    this.#record(message, out)\n    send(out, from, { kind: 'arbiter-accepted'",
        replace: "    this.recover(message)\n    send(out, from, { kind: 'arbiter-accepted'",
      },
    ],
    caughtBy: ['I8'],
  },
  {
    id: 'D8',
    title: 'one arbiter decides',
    edits: [
      {
        file: 'broker/engines/arbiters.ts',
        find: 'if (this.#accepts.size < this.#quorum) return',
        replace: 'if (this.#accepts.size < 1) return',
      },
    ],
    caughtBy: ['I5', 'I4'],
    stories: ['one-arbiter-is-not-enough'],
  },
  {
    id: 'D9',
    title: 'a proposer at the arbiters does not adopt what may have been decided',
    edits: [
      {
        file: 'broker/engines/arbiters.ts',
        find: 'this.#proposed = highestProposal(proposals)?.decision ?? this.#value',
        replace: 'this.#proposed = this.#value ?? highestProposal(proposals)?.decision ?? null',
      },
    ],
    caughtBy: ['I4', 'I5', 'stop I4'],
    stories: ['arbiters-keep-a-decision'],
  },
  {
    id: 'D10',
    title: 'two proposals of one process to the arbiters share a stake',
    edits: [
      {
        file: 'broker/engines/arbiters.ts',
        find: '      this.#round = Math.max(this.#round, above) + 1\n      return this.#round',
        replace: '      return above + 1',
      },
    ],
    caughtBy: ['I10', 'stop I10', 'test'],
    tests: ['test/regressions/arbiters.test.ts'],
  },
  {
    id: 'D11',
    title: 'a member that accepts names the proposal as what was decided',
    edits: [
      {
        file: 'broker/epoch/closing.ts',
        find: "    send(out, from, { kind: 'accepted', topic, epoch, stake }, token)",
        replace:
          "    this.#state.hear(decision.next)\n    send(out, from, { kind: 'accepted', topic, epoch, stake }, token)",
      },
    ],
    caughtBy: ['I5'],
    stories: ['section9.1-speculative-view'],
  },
  {
    id: 'D12',
    title: 'a change takes the decision of another for its own',
    edits: [
      {
        file: 'broker/epoch/coordinator.ts',
        find: 'const superseded = decision.changeId !== this.intent.changeId',
        replace: 'const superseded = decision.changeId === ""',
      },
    ],
    caughtBy: ['trace'],
    stories: ['concurrent-changes', 'adopted-proposal'],
  },
  {
    id: 'D13',
    title: 'a majority of the old members is one too small when they decide by stakes',
    edits: [
      {
        file: 'proto/configuration.ts',
        find: 'return majority(configuration.members.length)\n}\n\n/** Failures',
        replace: 'return majority(configuration.members.length) - 1\n}\n\n/** Failures',
      },
    ],
    caughtBy: ['I4', 'trace', 'stop I4'],
  },
  {
    id: 'D14',
    title: 'rounds of stakes come from the clock',
    edits: [
      {
        file: 'broker/epoch/coordinator.ts',
        find: 'round: this.#needs.nextRound(this.old.topic, above),',
        replace: 'round: Math.floor(this.#needs.nowMs() / 1000) % 1_000_000,',
      },
    ],
    caughtBy: ['trace', 'I10', 'hang'],
  },
  {
    id: 'D15',
    title: 'a proposal to the arbiters repeats its steps after it is over',
    edits: [
      {
        file: 'broker/engines/arbiters.ts',
        find: '    this.#isOver = true\n    this.#again.stop()\n',
        replace: '',
      },
    ],
    caughtBy: ['test', 'trace'],
    tests: ['test/broker/engines/arbiters.test.ts'],
  },
  {
    id: 'D16',
    title: 'an engine outside of the cluster that is ready is asked how it is without a pause',
    edits: [
      {
        file: 'broker/engines/outside.ts',
        find: 'return this.state.ready ? readyCheckTicks : failedCheckTicks',
        replace: 'return this.state.ready ? 1 : failedCheckTicks',
      },
    ],
    caughtBy: ['test'],
    tests: ['test/broker/engines/outside.test.ts'],
  },
]
