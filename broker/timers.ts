/** The timers of a server. */
export const serverTimers = {
  'every-tick': 'What is not on a timer of its own yet.',
} as const satisfies Record<string, string>

export type ServerTimer = keyof typeof serverTimers
