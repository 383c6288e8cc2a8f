/** The timers of a client. */
export const clientTimers = {
  'every-tick': 'What is not on a timer of its own yet.',
} as const satisfies Record<string, string>

export type ClientTimer = keyof typeof clientTimers
