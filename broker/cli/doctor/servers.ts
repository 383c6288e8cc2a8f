/** Servers that do not answer. */
import type { Client, ServerInfo, ServerParts } from '../../../client-sdk/index.ts'
import type { Context } from '../context.ts'
import { count } from '../describe.ts'
import { partsText } from '../parts.ts'
import type { Check, Line } from './check.ts'

export const servers: Check = {
  cluster: ({ client, context, servers: known }) => {
    const silent = known.filter(({ alive }) => !alive)
    if (silent.length > 0) return Promise.all(silent.map((server) => silentLine(client, context, server)))
    return [{ about: `cluster ${client.cluster}`, verdict: 'ok', text: `${count(known.length, 'server')}, all answer` }]
  },
}

async function silentLine(client: Client, context: Context, server: ServerInfo): Promise<Line> {
  const { id, address, hasOldDisk } = server
  if (hasOldDisk) {
    const text = 'came back with an old copy of its disk, and stopped'
    const hint = 'start it with its newest disk, or with an empty directory: it is then another server'
    return { about: `server ${id}`, verdict: 'fail', text, hint }
  }
  const parts = await client.admin.parts(id, context.limits())
  return { about: `server ${id}`, verdict: 'fail', text: `does not answer at ${address}`, hint: hintFor(parts) }
}

/** What can be done depends on what the server is needed for: only one without a part can be forgotten. */
function hintFor(parts: ServerParts): string {
  const { server, isArbiter, topics, isSure } = parts
  if (isArbiter)
    return 'start it with the data directory that it had: it is an arbiter, and no other server can become one'
  if (topics.length > 0) {
    return `start it, or take it out of its topics (${partsText(parts)}): epochcast reconfig TOPIC --members …`
  }
  return isSure ? `start it, or, if it is gone for good: epochcast servers forget ${server}` : 'start it'
}
