/**
 * A sweep has many cases of one kind. `npm test` plays some of them and `npm run test:long` the others: a file `x.long.test.ts` imports
 * `x.test.ts`, which then plays the long share.
 */
import { inject } from 'vitest'

declare module 'vitest' {
  interface ProvidedContext {
    volume: 'short' | 'long'
  }
}

export const isLong: boolean = inject('volume') === 'long'

/** Every nth of the cases in the short run, the others in the long one. */
export function share<T>(cases: readonly T[], nth: number): T[] {
  return cases.filter((_, at) => (at % nth === 0) !== isLong)
}
