/** Planted bugs of how calls end, and of what a client takes to be known to its caller. */
import type { Mutant } from '../mutant.ts'

export const callMutants: readonly Mutant[] = [
  {
    id: 'C1',
    title: 'what a Get gave is no cause of what its client publishes next',
    edits: [
      {
        file: 'client-sdk/operations/get.ts',
        find: '    for (const { batch } of given) this.#follower.noteGiven(batch, batch.last)\n',
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
        find: '++this.#vainCount >= configuration.members.length',
        replace: '++this.#vainCount < 0',
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
]
