/** Processes that ran under the id of another one. */
import { list } from '../describe.ts'
import type { Check, Line } from './check.ts'

export const twins: Check = {
  cluster: async ({ servers }) =>
    servers.flatMap(({ id, address, twins }): Line[] => {
      if (twins.length === 0) return []
      const text = `runs twice: at ${address}, and at ${list(twins)}, which was told to stop`
      const hint = 'keep one of the two down for good; a copy of a server needs an id and an empty directory of its own'
      return [{ about: `server ${id}`, verdict: 'fail', text, hint }]
    }),
}
