/** Servers that flush later than they acknowledge, and topics that have too many of them. */
import type { Configuration, ServerInfo } from '../../../client-sdk/index.ts'
import { toleratedFailures } from '../../../proto/configuration.ts'
import { serverIdOf } from '../../../proto/ids.ts'
import { list } from '../describe.ts'
import { syncOf } from '../sync.ts'
import type { Check, Line } from './check.ts'

export const syncs: Check = {
  cluster: ({ servers }) => servers.filter(({ sync }) => sync !== 'always').map(serverLine),
  topic: ({ about, configuration }, { servers }) => topicLines(about, configuration, servers),
}

function serverLine({ id, sync }: ServerInfo): Line {
  const text = `flushes later than it acknowledges (sync: ${sync}): if its machine stops, it is another server`
  const hint =
    'start it with sync: always, or keep it to topics whose messages may be lost; a lost arbiter is not replaced'
  return { about: `server ${id}`, verdict: 'warn', text, hint }
}

/** The failures that a mode tolerates cover machines that stop at once, as long as they are no more than that. */
function topicLines(about: string, { mode, members }: Configuration, servers: readonly ServerInfo[]): Line[] {
  const lax = members.filter((member) => syncOf([member], servers) !== 'always')
  const tolerated = toleratedFailures(mode, members.length)
  if (lax.length <= tolerated) return []
  const who = list(lax.map(({ name }) => serverIdOf(name)).sort())
  const what = tolerated === 0 ? 'if its machine stops' : `if the machines of ${tolerated + 1} of them stop at once`
  const text = `${who} ${lax.length === 1 ? 'flushes' : 'flush'} later than acknowledged: ${what}, the topic is lost`
  const hint = `start ${lax.length - tolerated} of them with sync: always`
  return [{ about, verdict: 'warn', text, hint }]
}
