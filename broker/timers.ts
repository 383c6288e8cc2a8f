import type { TimerSource } from '../proto/machine/timers.ts'

/** The timers of a server: when each one rings. */
export const serverTimers = {
  'every-tick': 'What is not on a timer of its own yet.',
} as const satisfies Record<string, string>

export type ServerTimer = keyof typeof serverTimers
export type ServerTimers = TimerSource<ServerTimer>
