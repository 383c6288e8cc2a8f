/** Decision engines outside of the cluster, as each server sees them. */
import type { ServerEngines } from '../../../client-sdk/index.ts'
import { list } from '../describe.ts'
import type { Check, Line } from './check.ts'

export const engines: Check = {
  cluster: ({ engines: told }) => engineLines(told),
}

/** What each server says of each engine, one line where they say the same. */
function engineLines(told: readonly ServerEngines[]): Line[] {
  const lines = new Map<string, { line: Line; servers: string[] }>()
  const add = (server: string, line: Line) => {
    const key = `${line.about} ${line.verdict} ${line.text}`
    const known = lines.get(key) ?? { line, servers: [] }
    known.servers.push(server)
    lines.set(key, known)
  }
  for (const { server, engines } of told) {
    for (const { id, type, ready, findings } of engines) {
      const about = `engine ${id} (${type})`
      for (const finding of findings) add(server, { ...finding, about })
      if (!ready && findings.length === 0) add(server, { about, verdict: 'fail', text: 'it has not answered yet' })
    }
  }
  const merged = [...lines.values()].map(({ line, servers }) => ({ ...line, text: `${line.text} (${list(servers)})` }))
  return [...merged, ...instanceLines(told)]
}

/** One name, two engines: each server would ask another one. */
function instanceLines(told: readonly ServerEngines[]): Line[] {
  const instances = new Map<string, Map<string, string[]>>()
  for (const { server, engines } of told) {
    for (const { id, instance } of engines) {
      if (instance === undefined || instance === '') continue
      const of = instances.get(id) ?? new Map<string, string[]>()
      instances.set(id, of.set(instance, [...(of.get(instance) ?? []), server]))
    }
  }
  return [...instances].flatMap(([id, of]): Line[] => {
    if (of.size < 2) return []
    const groups = [...of].map(([instance, servers]) => `${list(servers)} see ${instance}`).join('; ')
    const hint = 'let all servers name the same one; epochs that the other one decides cannot end at these'
    return [{ about: `engine ${id}`, verdict: 'fail', text: `is not one engine: ${groups}`, hint }]
  })
}
