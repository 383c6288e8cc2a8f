/** Whether the arbiters decide, and how many of them may fail. */
import { arbiterHealth } from '../arbiters.ts'
import type { Check, Line } from './check.ts'

export const arbiters: Check = {
  cluster: ({ arbiters: all, servers }) => {
    const { slack, text, hint } = arbiterHealth(all)
    const about = 'arbiters'
    if (hint !== null) return [{ about, verdict: slack > 0 ? 'warn' : 'fail', text, hint } satisfies Line]
    if (all.length > 1 || servers.length === 1) return [{ about, verdict: 'ok', text } satisfies Line]
    const alone = `${all[0]?.id} alone decides what new topics are and where topics are found: none may fail`
    const more = 'a cluster that is made of three servers or more has three arbiters'
    return [{ about, verdict: 'warn', text: alone, hint: more } satisfies Line]
  },
}
