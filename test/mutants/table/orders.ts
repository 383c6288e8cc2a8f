/** Planted bugs of the client's filters of order, and of the sequencer. */
import type { Mutant } from '../mutant.ts'

export const orderMutants: readonly Mutant[] = [
  {
    id: 'F21',
    title: 'an Add that waits for its cause is passed by what began when it was done',
    edits: [
      { file: 'broker/services/sequencer.ts', find: 'if (this.#isBehind) this', replace: 'if (this.#time < 0) this' },
    ],
    caughtBy: ['F3', 'trace'],
    stories: ['blocked-add-keeps-its-place'],
  },
  {
    id: 'F19',
    title: 'a member that has not been heard of yet loses its place with its sequencer',
    edits: [
      {
        file: 'broker/services/succession.ts',
        find: '    if (now - (this.#missingSince ?? now) < missingTicksMin) return null\n',
        replace: '',
      },
    ],
    caughtBy: ['test'],
    tests: ['test/broker/services/succession.test.ts'],
  },
  {
    id: '37',
    title: 'what a message was stamped with is not waited for',
    edits: [
      {
        file: 'proto/causal-queue.ts',
        find: 'if (this.doneOf(cause.publisher) < wanted) return cause',
        replace: 'if (wanted < 0) return cause',
      },
    ],
    caughtBy: ['F2'],
    stories: ['causal-order'],
  },
  {
    id: '38',
    title: 'positions of the total order begin again in each epoch',
    edits: [
      {
        file: 'client-sdk/operations/reading.ts',
        find: 'new TotalFilter(base, listener)',
        replace: 'new TotalFilter(0, listener)',
      },
    ],
    caughtBy: ['F3'],
    stories: ['total-order'],
  },
  {
    id: 'F1',
    title: 'causes in topics that are read together are not waited for',
    edits: [
      {
        file: 'client-sdk/orders/causal-filter.ts',
        find: 'if (this.#otherCauses(held).every((cause) => this.#options.gate.covers(cause))) return false',
        replace: 'if (held.last > 0) return false',
      },
    ],
    caughtBy: ['F2'],
    stories: ['topics-together'],
  },
  {
    id: 'F2',
    title: 'causes by way of what is before the start are not waited for',
    edits: [
      {
        file: 'client-sdk/orders/causal-filter.ts',
        find: 'if (history === null) return after',
        replace: 'if (history === null || publisher.length > 0) return after',
      },
    ],
    caughtBy: ['F2'],
    stories: ['causal-order-midway'],
  },
  {
    id: 'F3',
    title: 'a topic that is read along counts as given where only its own causes are missing',
    edits: [
      {
        file: 'client-sdk/orders/causal-filter.ts',
        find: 'if (causes === null) return true',
        replace: 'if (causes === null || end > 0) return true',
      },
    ],
    caughtBy: ['F2'],
    stories: ['topics-together-midway'],
  },
  {
    id: 'F17',
    title: 'the end of an epoch does not wait for causes, in other topics, of what is before the start',
    edits: [
      {
        file: 'client-sdk/orders/causal-filter.ts',
        find: 'return !this.#isHistoryWaiting()',
        replace: 'return true',
      },
    ],
    caughtBy: ['F2'],
    stories: ['topics-together-end-midway'],
  },
  {
    id: 'F18',
    title: 'what was given early and is dropped takes its own causes with it',
    edits: [
      {
        file: 'client-sdk/follower.ts',
        find: 'for (const cause of ends) this.past.note(topic, of, cause.publisher, cause.end)',
        replace: 'for (const cause of ends) this.past.note(topic, of, cause.publisher, Math.min(0, cause.end))',
      },
    ],
    caughtBy: ['F2'],
    stories: ['early-cause-dropped'],
  },
  {
    id: 'F4',
    title: 'who waits for a topic that begins does not look again',
    edits: [
      {
        file: 'client-sdk/operations/subscribe.ts',
        find: '    this.hasGoneOn = true\n    this.#filter = filter\n',
        replace: '    this.#filter = filter\n',
      },
    ],
    caughtBy: ['F5', 'trace'],
    stories: ['together-one-starts-late'],
  },
  {
    id: 'F5',
    title: 'total order: what the sequencer named before the start is counted twice',
    edits: [
      {
        file: 'client-sdk/orders/total-filter.ts',
        find: 'this.#position += end - this.#queue.doneOf(publisher)',
        replace: 'this.#position += end',
      },
    ],
    caughtBy: ['F3'],
    stories: ['total-order-midway'],
  },
  {
    id: 'F6',
    title: 'total order: a message that has not come is passed over',
    edits: [
      {
        file: 'client-sdk/orders/total-filter.ts',
        find: 'if (head === undefined) return this.#closing !== null && endOf(this.#closing, publisher) <= done',
        replace: 'if (head === undefined) return true',
      },
    ],
    caughtBy: ['F3', 'F1', 'F6'],
  },
  {
    id: 'F7',
    title: 'total order: a message is given before it is durable',
    edits: [
      {
        file: 'client-sdk/orders/total-filter.ts',
        find: 'if (head.batch !== null && head.last > (this.#durable.get(publisher) ?? 0)) return false',
        replace: 'if (head.last < 0) return false',
      },
    ],
    caughtBy: ['I1', 'I2', 'I3', 'I6', 'F3', 'F6'],
    stories: ['ranked-and-not-durable'],
  },
  {
    id: 'F8',
    title: 'total order: a message whose record is not durable is given',
    edits: [
      {
        file: 'client-sdk/orders/total-filter.ts',
        find: 'if (rank.record > (this.#durable.get(sequencerPublisher) ?? 0)) break',
        replace: 'if (rank.record < 0) break',
      },
    ],
    caughtBy: ['F3'],
    stories: ['record-that-is-lost'],
  },
  {
    id: 'F10',
    title: 'what was given early and dropped is not retracted',
    edits: [
      {
        file: 'client-sdk/orders/causal-filter.ts',
        find: "this.#listener.judged('retracted', run)",
        replace: "if (run.number < 0) this.#listener.judged('retracted', run)",
      },
    ],
    caughtBy: ['F6'],
    stories: ['early-order'],
  },
  {
    id: 'F11',
    title: 'what was given early is confirmed though the closing set lacks it',
    edits: [
      {
        file: 'client-sdk/orders/causal-filter.ts',
        find: 'this.#confirm(publisher, endOf(closing, publisher))',
        replace: 'this.#confirm(publisher, Number.MAX_SAFE_INTEGER)',
      },
    ],
    caughtBy: ['I2', 'I3', 'I6', 'F6'],
    stories: ['early-order'],
  },
  {
    id: 'F12',
    title: 'what is early is never called so',
    edits: [
      {
        file: 'client-sdk/orders/causal-filter.ts',
        find: 'const early = last > (this.#durable.get(publisher) ?? 0)',
        replace: 'const early = last < 0',
      },
    ],
    caughtBy: ['I1', 'I2', 'I3', 'I6'],
    stories: ['early-order'],
  },
  {
    id: 'F13',
    title: 'the end of an epoch leaves in the filter what waits there',
    edits: [
      {
        file: 'client-sdk/operations/subscribe.ts',
        find: 'if (this.#filter?.finish() === false) return',
        replace: 'if (this.#over) return',
      },
    ],
    caughtBy: ['F6'],
    stories: ['total-order', 'sequencer-restarts'],
  },
  {
    id: 'F14',
    title: 'the sequencer orders what it stores without a look at causes',
    edits: [
      {
        file: 'broker/services/sequencer.ts',
        find: 'const item = { publisher, first, last, time, ...(after && { after }) }',
        replace: 'const item = { publisher, first, last, time, ...(after && false) }',
      },
    ],
    caughtBy: ['F2'],
  },
  {
    id: 'F15',
    title: 'a client does not stamp what it was given',
    edits: [
      {
        file: 'client-sdk/operations/subscribe.ts',
        find: 'this.#follower.noteGiven(batch, batch.last)',
        replace: 'this.#follower.noteGiven(batch, 0)',
      },
    ],
    caughtBy: ['F2'],
    stories: ['causal-order'],
  },
  {
    id: 'F16',
    title: 'the first stamp of an epoch names nothing that was known before',
    edits: [
      {
        file: 'client-sdk/causal-past.ts',
        find: 'for (const [topic, { ends }] of this.#known) fresh.set(topic, new Set(ends.keys()))',
        replace: 'for (const [topic] of this.#known) fresh.set(topic, new Set())',
      },
    ],
    caughtBy: ['F2'],
  },
]
