/** Planted bugs of groups: who is dead and since when, what counts as delivered, where dead letters end. */
import type { Mutant } from '../mutant.ts'

const machine = 'test/client-sdk/groups/group-machine.test.ts'

export const groupMutants: readonly Mutant[] = [
  {
    id: 'G1',
    title: 'what waits in the buffer of a member counts as delivered',
    edits: [
      {
        file: 'client-sdk/groups/hand-out.ts',
        find: '  item.dueMs = 0\n  granted.push(item)',
        replace: '  item.dueMs = 0\n  item.deliveries++\n  granted.push(item)',
      },
    ],
    caughtBy: ['test'],
    tests: ['test/client-sdk/groups/state.test.ts', machine],
  },
  {
    id: 'G2',
    title: 'a leader begins with a time of its own, not with that of the one before',
    edits: [
      {
        file: 'client-sdk/groups/log-time.ts',
        find: '    this.#timeMs = this.#recordMs\n',
        replace: '',
      },
    ],
    caughtBy: ['test'],
    tests: ['test/client-sdk/groups/state.test.ts', machine],
  },
  {
    id: 'G3',
    title: 'each leader begins anew to count how long the others have been silent',
    edits: [
      {
        file: 'client-sdk/groups/leading.ts',
        find: '      const heardMs = Math.max(state.heardMsOf(id), this.#heardMs.get(id) ?? 0)\n',
        replace:
          '      if (!this.#heardMs.has(id)) this.#heardMs.set(id, timeMs)\n' +
          '      const heardMs = Math.max(state.heardMsOf(id), this.#heardMs.get(id) ?? 0)\n',
      },
    ],
    caughtBy: ['test'],
    tests: [machine],
  },
  {
    id: 'G4',
    title: 'a leader is waited for as long as for a member',
    edits: [
      {
        file: 'client-sdk/groups/node.ts',
        find: 'return Math.min(this.#options.leaseMs, patienceMs) * 2 ** doublings',
        replace: 'return Math.max(this.#options.leaseMs, patienceMs) * 2 ** doublings',
      },
    ],
    caughtBy: ['test'],
    tests: [machine],
  },
  {
    id: 'G5',
    title: 'the dead have their turns to lead one after the other',
    edits: [
      {
        file: 'client-sdk/groups/node.ts',
        find: 'return turnMs * (rank < turnsMax ? rank : turnsMax + (rank % turnsMax))',
        replace: 'return (this.#options.leaseMs / 2) * rank',
      },
    ],
    caughtBy: ['test'],
    tests: [machine],
  },
  {
    id: 'G6',
    title: 'others are silent while the log does not answer',
    edits: [
      {
        file: 'client-sdk/groups/log-time.ts',
        find: 'Math.min(this.#timeMs + elapsedMs, this.#recordMs + aheadMaxMs)',
        replace: 'this.#timeMs + elapsedMs + aheadMaxMs * 0',
      },
    ],
    caughtBy: ['test'],
    tests: ['test/client-sdk/groups/state.test.ts', machine],
  },
  {
    id: 'G7',
    title: 'dead letters go round in a ring of topics',
    edits: [
      {
        file: 'client-sdk/groups/dead-letters.ts',
        find: 'path.includes(deadLetter) || ',
        replace: '',
      },
    ],
    caughtBy: ['test'],
    tests: ['test/client-sdk/groups/dead-letters.test.ts'],
  },
  {
    id: 'G8',
    title: 'a new leader hands out before it has joined, to members that may be dead',
    edits: [
      {
        file: 'client-sdk/groups/node.ts',
        find: 'for (const wish of [...own, ...this.#unanswered.ofMembers(state)])',
        replace: 'for (const wish of own.length < 0 ? own : this.#unanswered.ofMembers(state))',
      },
    ],
    caughtBy: ['test'],
    tests: [machine],
  },
]
