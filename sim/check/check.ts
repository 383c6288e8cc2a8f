import type { History, Violation } from './history.ts'

/** Every rule over one history. */
export function checkHistory(_history: History): Violation[] {
  return []
}
