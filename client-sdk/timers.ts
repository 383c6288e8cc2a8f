import type { TimerSource } from '../proto/machine/timers.ts'

/** The timers of a client: when each one rings. */
export const clientTimers = {
  'every-tick': 'What is not on a timer of its own yet.',
} as const satisfies Record<string, string>

export type ClientTimer = keyof typeof clientTimers
export type ClientTimers = TimerSource<ClientTimer>
