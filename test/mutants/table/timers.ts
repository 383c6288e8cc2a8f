/** Bugs of time: timers that are not set, not stopped, or ring when they should not. */
import type { Mutant } from '../mutant.ts'

export const timerMutants: readonly Mutant[] = [
  {
    id: 'Q1',
    title: 'topics that were on the disk have no timers after a restart',
    edits: [
      {
        file: 'broker/server-machine.ts',
        find: 'for (const replica of this.#replicas.values()) this.#touched.add(replica)',
        replace: '',
      },
    ],
    caughtBy: ['trace', 'hang', 'L1', 'L2', 'test'],
    tests: ['test/broker/replica/repair.test.ts'],
  },
  {
    id: 'Q2',
    title: 'what was stored is told to the other members only when something else is',
    edits: [
      {
        file: 'broker/replica/replica.ts',
        find: '      this.#repair.changed()\n      if',
        replace: '      if',
      },
    ],
    caughtBy: ['trace', 'test', 'L1'],
    tests: ['test/broker/replica/quiet.test.ts'],
  },
  {
    id: 'Q3',
    title: 'what is due rings before what came in the same turn is taken',
    edits: [
      {
        file: 'proto/machine/loop.ts',
        find: '      for (const input of inputs) this.#options.machine.step(input, effects)\n',
        replace:
          '      this.#options.machine.step(turn, effects)\n      for (const input of inputs) this.#options.machine.step(input, effects)\n',
      },
    ],
    caughtBy: ['test'],
    tests: ['test/proto/machine/timers.test.ts'],
  },
  {
    id: 'Q4',
    title: 'a process takes its own standstill for the silence of others',
    edits: [
      {
        file: 'proto/machine/loop.ts',
        find: 'const passed = due === null ? elapsed : Math.min(elapsed, Math.max(0, due - this.#time) + 1)',
        replace: 'const passed = elapsed + Number(due === -1)',
      },
    ],
    caughtBy: ['test'],
    tests: ['test/proto/machine/timers.test.ts'],
  },
  {
    id: 'Q5',
    title: 'a timer that was stopped rings all the same',
    edits: [
      {
        file: 'proto/machine/timers.ts',
        find: '      if (!timer.isSet) continue\n',
        replace: '      if (!timer.isSet) timer.due = entry.due\n',
      },
    ],
    caughtBy: ['test', 'trace'],
    tests: ['test/proto/machine/timers.test.ts'],
  },
  {
    id: 'Q6',
    title: 'a report that was lost is never missed',
    edits: [
      {
        file: 'client-sdk/attendance.ts',
        find: 'const isComplete = message.reports === server.reports',
        replace: 'const isComplete = true',
      },
    ],
    caughtBy: ['test', 'L1', 'L4'],
    tests: ['test/client-sdk/attendance.test.ts'],
  },
  {
    id: 'Q7',
    title: 'a subscription that a server has lost is not renewed',
    edits: [
      {
        file: 'client-sdk/attendance.ts',
        find: 'const isKnown = hasChanged || message.subscriptions === asked',
        replace: 'const isKnown = true',
      },
    ],
    caughtBy: ['test', 'L1', 'L4'],
    tests: ['test/client-sdk/attendance.test.ts'],
  },
  {
    id: 'Q8',
    title: 'the subscriptions of a client that is gone stay for ever',
    edits: [{ file: 'broker/audience.ts', find: 'silence.set(this.#silentTicksMax)\n    }', replace: '}' }],
    caughtBy: ['test'],
    tests: ['test/client-sdk/attendance.test.ts'],
  },
  {
    id: 'Q9',
    title: 'a server that stands still is not noticed by who reads there',
    edits: [{ file: 'client-sdk/attendance.ts', find: 'this.#listening.silent(address, out)', replace: '' }],
    caughtBy: ['L1', 'L4', 'trace', 'test'],
    tests: ['test/client-sdk/attendance.test.ts'],
  },
]
