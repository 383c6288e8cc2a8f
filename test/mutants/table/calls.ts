/** Planted bugs of how calls end, and of what a client takes to be known to its caller. */
import type { Mutant } from '../mutant.ts'

export const callMutants: readonly Mutant[] = [
  {
    id: 'C1',
    title: 'what a Get gave is no cause of what its client publishes next',
    edits: [
      {
        file: 'client-sdk/operations/get.ts',
        find: 'else this.#follower.noteGiven(batch, batch.last)',
        replace: '',
      },
    ],
    caughtBy: ['F2'],
    stories: ['causal-get'],
  },
  {
    id: 'C2',
    title: 'a Get waits for ever for the body of a message whose only holder died',
    edits: [
      {
        file: 'client-sdk/operations/get.ts',
        find: 'this.#vainCount >= configuration.members.length',
        replace: 'this.#vainCount < 0',
      },
    ],
    caughtBy: ['trace', 'L1'],
    stories: ['early-get'],
  },
  {
    id: 'C3',
    title: 'a flush is woken by confirmations alone, and not by what is retracted',
    edits: [
      {
        file: 'client-sdk/operations/subscribe.ts',
        find: 'this.#consumer.deliver({ kind, run })\n    this.#confirming.wake(this.#filter)',
        replace:
          "this.#consumer.deliver({ kind, run })\n    if (kind === 'confirmed') this.#confirming.wake(this.#filter)",
      },
    ],
    caughtBy: ['trace'],
    stories: ['flush-at-an-end'],
  },
  {
    id: 'C4',
    title: 'what was withdrawn before it left is sent all the same',
    edits: [
      {
        file: 'client-sdk/operations/add.ts',
        find: '(outgoing.isStale ? this.#rewritten(outgoing) : [outgoing])',
        replace: '[outgoing]',
      },
    ],
    caughtBy: ['I3', 'trace'],
    stories: ['withdrawn'],
  },
  {
    id: 'C5',
    title: 'a store is handed to a connection that is not there yet',
    edits: [
      {
        file: 'client-sdk/operations/epoch-window.ts',
        find: ' && this.#takers().length > 0',
        replace: '',
      },
    ],
    caughtBy: ['trace'],
    stories: ['withdrawn'],
  },
  {
    id: 'C6',
    title: 'what its caller gave up on is added again in the next epoch',
    edits: [
      {
        file: 'client-sdk/operations/add.ts',
        find: 'if (!outgoing.needsRewriting) return [outgoing]',
        replace: 'if (outgoing.count > 0) return [outgoing]',
      },
    ],
    caughtBy: ['I3', 'trace'],
    stories: ['withdrawn'],
  },
  {
    id: 'C7',
    title: 'a message is called pending because one member is without it',
    edits: [
      {
        file: 'client-sdk/operations/get.ts',
        find: 'without > configuration.members.length - operationQuorum(configuration)',
        replace: 'without > 0',
      },
    ],
    caughtBy: ['I3', 'trace'],
    stories: ['pending-is-not-durable'],
  },
]
