import type { TimerSource } from '../proto/machine/timers.ts'

/** The timers of a client: when each one rings. */
export const clientTimers = {
  'every-tick': 'What is not on a timer of its own yet.',
  introduction: 'No server has said yet to which cluster it belongs: all are asked again.',
  directory: 'Servers may have come and gone: a few are asked for the list.',
  question: 'A question has no answer yet: it goes to the next server.',
  look: 'Somebody waits for a topic, and no question about it is under way: it is looked for.',
  roll: 'The end of an epoch was asked for long ago: it may be asked for again.',
} as const satisfies Record<string, string>

export type ClientTimer = keyof typeof clientTimers
export type ClientTimers = TimerSource<ClientTimer>
