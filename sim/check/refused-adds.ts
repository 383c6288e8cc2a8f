/**
 * I3, of an Add that was refused for good: none of it had left its client, or only in epochs that dropped it. So it is never
 * sent again, kept by no closing set, and given to nobody but early.
 */
import type { Invocation } from './history.ts'
import { type Broken, epochKey, type Indexed, isIn } from './indexed.ts'

/** Codes that say that nothing was stored and nothing will be. */
const definite: ReadonlySet<string> = new Set(['EC_DISK_FULL'])

export function isRefusedForGood(code: string): boolean {
  return definite.has(code)
}

export function checkRefusedAdds({ history, invocations, closings }: Indexed, broken: Broken): void {
  /** Where each value was refused. */
  const refused = new Map<string, number>()
  const keyOf = ({ topic, value }: Invocation) => `${topic} ${value}`
  for (const event of history) {
    if (event.kind !== 'fail' || event.f !== 'add' || !isRefusedForGood(event.code)) continue
    const invocation = invocations.get(event.op)
    if (invocation !== undefined) refused.set(keyOf(invocation), event.i)
  }
  if (refused.size === 0) return
  const given = (topic: string, values: readonly (string | undefined)[], i: number, who: string) => {
    for (const value of values) {
      if (refused.has(`${topic} ${value}`)) broken('I3', i, `${who} was given ${value}, which was refused for good`)
    }
  }
  for (const event of history) {
    if (event.kind === 'dlv' && event.early !== true)
      given(event.topic, [event.value], event.i, `subscription ${event.sub}`)
    else if (event.kind === 'ok' && event.f === 'get') {
      const invocation = invocations.get(event.op)
      const isEarly = invocation?.level === 'early'
      if (invocation !== undefined && !isEarly) given(invocation.topic, event.values, event.i, `Get ${event.op}`)
    } else if (event.kind === 'sent') {
      for (const [at, value] of event.values.entries()) {
        const since = refused.get(`${event.topic} ${value}`)
        if (since === undefined) continue
        if (event.i > since) broken('I3', event.i, `${value} is sent, and was refused for good`)
        const id = `${event.epoch}-${event.pub}-${event.first + at}`
        const closing = closings.get(epochKey(event.topic, event.epoch))
        if (closing !== undefined && isIn(closing.closing, id))
          broken('I3', since, `${value} was refused for good, and the closing set keeps it as ${id}`)
      }
    }
  }
}
