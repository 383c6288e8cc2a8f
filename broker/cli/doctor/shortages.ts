/** Servers that go on without space on their disk, or without descriptors for connections. */
import { shortageWords } from '../shortages.ts'
import type { Check, Line } from './check.ts'

export const shortages: Check = {
  cluster: ({ servers }) =>
    servers.flatMap(({ id, shortages: missing }) =>
      missing.map((shortage): Line => {
        const { text, hint } = shortageWords[shortage]
        return { about: `server ${id}`, verdict: shortage === 'space' ? 'fail' : 'warn', text, hint }
      }),
    ),
}
