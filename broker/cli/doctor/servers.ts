/** Servers that do not answer. */
import type { ServerInfo } from '../../../client-sdk/index.ts'
import { count } from '../describe.ts'
import type { Check, Line } from './check.ts'

export const servers: Check = {
  cluster: ({ client, servers: known }) => {
    const silent = known.filter(({ alive }) => !alive)
    if (silent.length > 0) return silent.map(silentLine)
    return [{ about: `cluster ${client.cluster}`, verdict: 'ok', text: `${count(known.length, 'server')}, all answer` }]
  },
}

function silentLine({ id, address }: ServerInfo): Line {
  const hint = 'start it, or take it out of its topics: epochcast reconfig'
  return { about: `server ${id}`, verdict: 'fail', text: `does not answer at ${address}`, hint }
}
