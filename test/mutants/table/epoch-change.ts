/** Planted bugs of wedge, collect, stage, start, and of what is kept across an epoch's end. */
import type { Mutant } from '../mutant.ts'

const record = "out.push({ kind: 'persist', record: 'protocol', bytes: messageBytes(record) })\n    this.#apply(record)"

export const epochChangeMutants: readonly Mutant[] = [
  {
    id: '3',
    title: 'a member reports and is not wedged',
    edits: [
      {
        file: 'broker/epoch/closing.ts',
        find: 'if (!again) this.#state.record(message, out)',
        replace: 'if (!again) acceptor.promise(stake)',
      },
    ],
    caughtBy: ['I8', 'I7'],
  },
  {
    id: '4',
    title: 'the wedge is not written to disk',
    edits: [
      {
        file: 'broker/replica/topic-state.ts',
        find: record,
        replace: `if (record.kind !== 'wedge') ${record}`,
      },
    ],
    caughtBy: ['I8'],
  },
  {
    id: '5',
    title: 'a store that comes after the wedge joins the set and is acknowledged',
    edits: [
      {
        file: 'proto/wire/messages/publish.ts',
        find: "records of the sequencer come from the sequencer alone.',\n    phases: { unknown: 'not-yet', absent: 'not-yet', open: 'handle', wedged: 'wedged',",
        replace:
          "records of the sequencer come from the sequencer alone.',\n    phases: { unknown: 'not-yet', absent: 'not-yet', open: 'handle', wedged: 'handle',",
      },
      {
        file: 'broker/replica/topic-state.ts',
        find: 'if (opened === null || opened.wedgedFor !== null || opened.configuration.epoch !== batch.epoch) {',
        replace: 'if (opened === null || opened.configuration.epoch !== batch.epoch) {',
      },
      {
        file: 'broker/replica/intake.ts',
        find: 'if (opened !== null && opened.wedgedFor === null) {\n      const epoch',
        replace: 'if (opened !== null) {\n      const epoch',
      },
    ],
    caughtBy: ['I7'],
  },
  {
    id: '9',
    title: 'uncoordinated state transfer: an epoch is opened with whatever is there',
    edits: [
      {
        file: 'broker/epoch/opening.ts',
        find: 'if (closed > 0 && this.#transfer.missing(closed, decision.closing) > 0) return false',
        replace: 'if (closed > 0 && this.#state.decisionOf(previousEpoch(closed)) === undefined) return false',
      },
      {
        file: 'broker/replica/topic-state.ts',
        find: 'if (holdings.endOf(publisher) < end) {',
        replace: 'if (end < 0) {',
      },
    ],
    caughtBy: ['I6'],
  },
  {
    id: '10',
    title: 'speculative view: one vote starts a server',
    edits: [
      {
        file: 'broker/epoch/opening.ts',
        find: 'return same.length >= acceptQuorum(old) ? message.decision : null',
        replace: 'return same.length >= 1 ? message.decision : null',
      },
    ],
    caughtBy: ['I4', 'I5'],
  },
  {
    id: '16',
    title: 'a store is taken without a look at its epoch',
    edits: [
      {
        file: 'broker/replica/outcomes.ts',
        find: '  if (epoch !== current) {',
        replace: "  if (epoch !== current && (kind !== 'batch' || phase !== 'open')) {",
      },
      {
        file: 'broker/replica/topic-state.ts',
        find: 'if (opened === null || opened.wedgedFor !== null || opened.configuration.epoch !== batch.epoch) {',
        replace: 'if (opened === null || opened.wedgedFor !== null) {',
      },
    ],
    caughtBy: ['I1', 'I8', 'I11'],
  },
  {
    id: '17',
    title: 'a server without its disk counts as the member that it was',
    edits: [
      {
        file: 'proto/configuration.ts',
        find: 'return configuration.members.some((member) => member.name === name)',
        replace: "return configuration.members.some((member) => member.name.split('@')[0] === name.split('@')[0])",
      },
    ],
    caughtBy: ['I5', 'I1', 'I6'],
    stories: ['lost-disk', 'old-state-stays'],
  },
  {
    id: '19',
    title: 'start votes are counted across stakes',
    edits: [
      {
        file: 'broker/epoch/opening.ts',
        find: 'const same = [...votes.values()].filter((stake) => sameStake(stake, message.stake))',
        replace: 'const same = [...votes.values()]',
      },
    ],
    caughtBy: ['I4', 'I5'],
    stories: ['adopted-proposal'],
  },
  {
    id: '22',
    title: 'a next member opens the epoch while the closing set is still on its way',
    edits: [
      {
        file: 'broker/replica/topic-state.ts',
        find: 'return this.#holdings.get(of)?.closed === true ? 0 : missingCount(closing, this.present(of))',
        replace:
          'return this.#holdings.get(of)?.closed === true ? 0 : Math.max(0, missingCount(closing, this.present(of)) - 1)',
      },
      {
        file: 'broker/replica/topic-state.ts',
        find: 'if (holdings.endOf(publisher) < end) {',
        replace: 'if (end < 0) {',
      },
    ],
    caughtBy: ['I6', 'T6'],
  },
  {
    id: '23',
    title: 'fault-masking: a coordinator collects from one less than a majority',
    edits: [
      {
        file: 'proto/configuration.ts',
        find: "return configuration.mode === 'fault-masking' ? majority(configuration.members.length) : 1",
        replace: "return configuration.mode === 'fault-masking' ? majority(configuration.members.length) - 1 : 1",
      },
    ],
    caughtBy: ['I4', 'I3', 'I6', 'I1'],
  },
  {
    id: '26',
    title: 'the report is built before the last store has joined the set',
    edits: [
      {
        file: 'broker/epoch/closing.ts',
        find: 'const stored = opened.holdings.snapshot()\n',
        replace:
          'const stored = new Map([...opened.holdings.snapshot()].filter((_, at, all) => at < all.length - 1 || at === 0))\n',
      },
    ],
    caughtBy: ['I7', 'I6', 'I3'],
  },
  {
    id: '27',
    title: 'a next member says started before the start is on disk',
    edits: [
      {
        file: 'proto/machine/loop.ts',
        find: 'if (this.#flushing !== null || store?.dirty === true) this.#waiting.push(effect)',
        replace: `const isStarted = effect.kind === 'send' && effect.message.kind === 'started'
    if (!isStarted && (this.#flushing !== null || store?.dirty === true)) this.#waiting.push(effect)`,
      },
    ],
    caughtBy: ['I8'],
  },
  {
    id: '28',
    title: 'old state is deleted at the decision instead of when the next epoch is enabled',
    edits: [
      {
        file: 'broker/replica/replica.ts',
        find: 'if (awaited && !isNamed) this.#opening.forget(closed)',
        replace: 'if (!isNamed) this.state.release()\n    if (awaited && !isNamed) this.#opening.forget(closed)',
      },
    ],
    caughtBy: ['hang', 'L1', 'trace', 'I1'],
    stories: ['old-state-stays'],
  },
  {
    id: '29',
    title: 'a decision by reference: proposed before anybody has staged',
    edits: [
      {
        file: 'broker/epoch/staging.ts',
        find: 'return next.members.filter(({ name }) => this.#missing.get(name) === 0).length >= enabledQuorum(next)',
        replace: 'return next.members.length > 0',
      },
    ],
    caughtBy: ['T6'],
  },
  {
    id: '41',
    title: 'a server that has lost its disk answers a wedge with an empty set',
    edits: [
      {
        file: 'broker/replica/replica.ts',
        find: '    else if (!this.#admits(from, frame.envelope.token, message, out)) return\n',
        replace: `    else if (message.kind === 'wedge' && this.state.opened === null) {
      const { topic, epoch, stake } = message
      send(out, from, { kind: 'wedged', topic, epoch, stake, stored: new Map() }, frame.envelope.token)
    } else if (!this.#admits(from, frame.envelope.token, message, out)) return
`,
      },
      {
        file: 'broker/epoch/collect.ts',
        find: 'const known = this.#old.members.some((member) => member.name === from)',
        replace: "const known = this.#old.members.some((member) => member.name.split('@')[0] === from.split('@')[0])",
      },
    ],
    caughtBy: ['I5', 'I8', 'I1'],
    stories: ['lost-disk', 'member-not-begun'],
  },
  {
    id: '54',
    title: 'messages of older epochs are handled in the open one',
    edits: [
      {
        file: 'broker/replica/outcomes.ts',
        find: '  if (epoch !== current) {',
        replace: "  if (epoch > current || phase === 'absent') {",
      },
    ],
    caughtBy: ['I5', 'I7', 'I8', 'stop I7'],
  },
  {
    id: '58',
    title: 'one started member counts as an enabled epoch',
    edits: [
      {
        file: 'broker/epoch/coordinator.ts',
        find: 'if (this.#started.size >= enabledQuorum(decision.next)) this.#finish(decision, out)',
        replace: 'if (this.#started.size >= 1) this.#finish(decision, out)',
      },
    ],
    caughtBy: ['I5'],
  },
  {
    id: 'B1',
    title: 'one staged holder is enough for a proposal',
    edits: [
      {
        file: 'broker/epoch/staging.ts',
        find: 'return next.members.filter(({ name }) => this.#missing.get(name) === 0).length >= enabledQuorum(next)',
        replace: 'return next.members.filter(({ name }) => this.#missing.get(name) === 0).length >= 1',
      },
    ],
    caughtBy: ['T6'],
  },
  {
    id: 'B2',
    title: 'staged bodies count as stored: a wedged member reports them',
    edits: [
      {
        file: 'broker/epoch/closing.ts',
        find: 'const stored = opened.holdings.snapshot()\n',
        replace: 'const stored = this.#state.present(epoch)\n',
      },
    ],
    caughtBy: ['I7'],
    stories: ['staging-that-lost', 'staged-for-nothing'],
  },
  {
    id: 'B3',
    title: 'staged bodies are served',
    edits: [
      {
        file: 'broker/replica/pulls.ts',
        find: 'const holdings = this.#state.readable(pull.epoch)',
        replace: 'const holdings = this.#state.readable(pull.epoch) ?? this.#state.staged(pull.epoch)',
      },
    ],
    caughtBy: ['trace', 'I3', 'I2'],
    stories: ['staged-is-not-served'],
  },
  {
    id: 'B4',
    title: 'staged bodies are dropped before the decision is known',
    edits: [
      {
        file: 'broker/epoch/opening.ts',
        find: '    this.#waiting.set(token, { to: from, token, answer: message })\n    this.#askedFor = message.epoch\n    this.#wasAsked()\n    this.#transfer.aim(message.epoch, message.closing',
        replace:
          '    if (this.#state.opened === null) this.#state.release()\n    this.#waiting.set(token, { to: from, token, answer: message })\n    this.#askedFor = message.epoch\n    this.#wasAsked()\n    this.#transfer.aim(message.epoch, message.closing',
      },
    ],
    caughtBy: ['trace', 'hang', 'stop I6', 'KEPT'],
  },
  {
    id: 'B5',
    title: 'a late `enabled` discards what was staged for a later epoch',
    edits: [
      {
        file: 'broker/replica/replica.ts',
        find: 'if (this.state.isSpent && !this.#opening.isHolding) this.state.release()',
        replace: `const { newest, opened, enabledEpoch } = this.state
    if (newest === null || isMember(newest, this.#host.self.name)) return
    if (newest.epoch >= enabledEpoch && enabledEpoch > (opened?.configuration.epoch ?? 0)) this.state.release()`,
      },
    ],
    caughtBy: ['trace', 'hang', 'stop I6', 'KEPT'],
    stories: ['late-enabled'],
  },
  {
    id: 'B6',
    title: 'enabled is said of an epoch that is only decided',
    edits: [
      {
        file: 'broker/replica/replica.ts',
        find: "if (enabledEpoch > nextEpoch(closed)) send(out, to, { kind: 'enabled', topic, epoch: enabledEpoch }, token)",
        replace: `const known = Math.max(enabledEpoch, this.state.newest?.epoch ?? 0) as Epoch
    if (known >= nextEpoch(closed)) send(out, to, { kind: 'enabled', topic, epoch: known }, token)`,
      },
    ],
    caughtBy: ['I5'],
    stories: ['enabled-too-early'],
  },
  {
    id: 'B7',
    title: 'repair stores what it pulled after the wedge',
    edits: [
      {
        file: 'broker/replica/replica.ts',
        find: "else if (this.#repair.isOwn(token) && this.#current(message.epoch) && this.phase === 'open') {",
        replace: 'else if (this.#repair.isOwn(token) && this.#current(message.epoch)) {',
      },
      {
        file: 'broker/replica/topic-state.ts',
        find: 'if (opened === null || opened.wedgedFor !== null || opened.configuration.epoch !== batch.epoch) {',
        replace: 'if (opened === null || opened.configuration.epoch !== batch.epoch) {',
      },
    ],
    caughtBy: ['I7'],
    stories: ['wedge-during-repair'],
  },
  {
    id: 'B8',
    title: 'a retired member answers Gets of its epoch',
    edits: [
      {
        file: 'proto/wire/messages/read.ts',
        find: "wedged: 'wedged', closed: 'moved' },\n    fields: { ...topical, level:",
        replace: "wedged: 'handle', closed: 'handle' },\n    fields: { ...topical, level:",
      },
    ],
    caughtBy: ['I1', 'I2', 'I7', 'trace'],
  },
  {
    id: 'B9',
    title: 'a closed epoch shows what lies beyond its closing set',
    edits: [
      {
        file: 'broker/replica/holdings.ts',
        find: 'return this.#closing === null || last <= endOf(this.#closing, publisher)',
        replace: 'return last > 0',
      },
    ],
    caughtBy: ['trace', 'I3', 'I2'],
    stories: ['beyond-the-closing-set'],
  },
  {
    id: 'B10',
    title: 'fault-masking: the closing set is the intersection of the reports',
    edits: [
      {
        file: 'broker/epoch/collect.ts',
        find: 'return union([...this.#reports.values()].map((report) => report.stored))',
        replace: 'return intersection([...this.#reports.values()].map((report) => report.stored))',
      },
      {
        file: 'broker/epoch/collect.ts',
        find: "import { type MessageSet, union } from '../../proto/message-set.ts'",
        replace: "import { intersection, type MessageSet, union } from '../../proto/message-set.ts'",
      },
    ],
    caughtBy: ['I3', 'I1', 'trace'],
  },
  {
    id: 'B11',
    title: 'reports of another stake are counted',
    edits: [
      {
        file: 'broker/epoch/coordinator.ts',
        find: "if (this.#step !== 'wedge' || !sameStake(report.stake, this.#stake)) return",
        replace: "if (this.#step !== 'wedge') return",
      },
    ],
    caughtBy: ['I4', 'I6', 'trace'],
    stories: ['stale-reports'],
  },
  {
    id: 'B12',
    title: 'the opening of an epoch is not written to disk',
    edits: [
      {
        file: 'broker/replica/topic-state.ts',
        find: record,
        replace: `if (record.kind !== 'opening') ${record}`,
      },
    ],
    caughtBy: ['I8', 'I5'],
  },
  {
    id: 'B13',
    title: 'lost start votes are not sent again, nor is the decision',
    edits: [
      {
        file: 'broker/epoch/closing.ts',
        find: 'this.#voting.setIfStopped(this.#limits.resendTicks * 4)',
        replace: '',
      },
      {
        file: 'broker/epoch/closing.ts',
        find: 'this.#handingOver.setIfStopped(this.#limits.resendTicks * 2)',
        replace: '',
      },
    ],
    caughtBy: ['hang', 'L1', 'L2', 'trace'],
    stories: ['lost-start-votes', 'abandoned-change'],
  },
  {
    id: 'B14',
    title: 'nobody finishes what a silent coordinator left',
    edits: [
      {
        file: 'broker/epoch/closing.ts',
        find: 'this.#takingOver.set(ticks + this.#host.random.below(ticks))',
        replace: 'this.#takingOver.set(1e9)',
      },
    ],
    caughtBy: ['hang', 'L1', 'L2', 'trace'],
    stories: ['abandoned-change'],
  },
  {
    id: 'B16',
    title: 'old servers may stop before the new configuration is noted where lost clients look',
    edits: [
      {
        file: 'broker/epoch/coordinator.ts',
        find: 'this.#needs.registry.note(decision.next, (into) => this.#listener.retirable(result, into), out)',
        replace: 'this.#listener.retirable(result, out)',
      },
    ],
    caughtBy: ['I10'],
  },
  {
    id: 'B23',
    title: 'where a topic is, is noted by whoever made its epoch alone',
    edits: [
      {
        file: 'broker/replica/noting.ts',
        find: 'this.#host.note(open, noted, out)',
        replace: 'if (open.epoch < 0) this.#host.note(open, noted, out)',
      },
    ],
    caughtBy: ['L2', 'trace'],
    stories: ['noted-again'],
  },
  {
    id: 'B17',
    title: 'what a server promised to keep is in its memory alone',
    edits: [
      {
        file: 'broker/replica/topic-state.ts',
        find: "this.record({ kind: 'staged', topic: this.topic, epoch: of, stake, missing: 0 }, out)",
        replace: 'if (stake && out) this.#promised.add(of)',
      },
    ],
    caughtBy: ['I8', 'KEPT'],
    stories: ['staged-over-a-restart'],
  },
  {
    id: 'B18',
    title: 'a promise that was read back from the disk is forgotten',
    edits: [
      {
        file: 'broker/replica/topic-state.ts',
        find: "    if (record.kind !== 'batch') {\n      this.#apply(record)",
        replace:
          "    if (record.kind === 'staged') return\n    if (record.kind !== 'batch') {\n      this.#apply(record)",
      },
    ],
    caughtBy: ['KEPT', 'trace'],
    stories: ['staged-over-a-restart'],
  },
  {
    id: 'B21',
    title: 'what is staged behind what was stored is compared as if nothing were before it',
    edits: [{ file: 'broker/replica/holdings.ts', find: 'let { digest } = base', replace: 'let digest = 0' }],
    caughtBy: ['KEPT', 'trace'],
    stories: ['staged-for-two-attempts'],
  },
  {
    id: 'B22',
    title: 'a source that is read along with and asked fails twice, and the next one is left out',
    edits: [
      {
        file: 'broker/replica/transfer.ts',
        find: '    if (source !== this.#source) return\n',
        replace: '    if (source > this.#source) return\n',
      },
    ],
    caughtBy: ['test'],
    tests: ['test/broker/replica/transfer.test.ts'],
  },
  {
    id: 'B19',
    title: 'a later epoch that is only decided shows that one before is enabled',
    edits: [
      {
        file: 'broker/epoch/changes.ts',
        find: 'const isEnabled = known.enabled >= decision.next.epoch',
        replace: 'const isEnabled = Math.max(known.enabled, known.newest.epoch - 1) >= decision.next.epoch',
      },
    ],
    caughtBy: ['I5'],
    stories: ['may-stop-too-early'],
  },
  {
    id: 'B20',
    title: 'a proposal that was accepted is forgotten by a restart, so that nobody adopts it',
    edits: [
      {
        file: 'broker/replica/topic-state.ts',
        find: "    if (record.kind !== 'batch') {\n      this.#apply(record)",
        replace: `    if (record.kind === 'accept') {
      const { topic, epoch, stake, decision } = record
      return this.#apply({ kind: 'wedge', topic, epoch, stake, intent: intentOf(decision) })
    }
    if (record.kind !== 'batch') {
      this.#apply(record)`,
      },
    ],
    caughtBy: ['I4', 'I5', 'stop I4'],
  },
  {
    id: 'B24',
    title: 'next members that are known to be dead are waited for in every round',
    edits: [
      {
        file: 'broker/epoch/coordinator.ts',
        find: 'return isForDead ? limits.resendTicks * deadPatience : 1',
        replace: 'return limits.resendTicks < 0 && isForDead ? deadPatience : 1',
      },
    ],
    caughtBy: ['trace', 'L2'],
    stories: ['dead-next-member-not-waited-for'],
  },
]
