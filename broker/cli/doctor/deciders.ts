/** Whether those who have to ask a decider outside of the cluster can do so. */
import type { Configuration, ServerEngines } from '../../../client-sdk/index.ts'
import { type Decider, outsideEngine, withoutInstance } from '../../../proto/decider.ts'
import { serverIdOf } from '../../../proto/ids.ts'
import type { Config } from '../../config/config.ts'
import { list } from '../describe.ts'
import type { Check, Line } from './check.ts'

export const deciders: Check = {
  cluster: ({ engines, config }) => foundingLines(engines, config),
  topic: ({ about, configuration }, { engines }) => deciderLines(about, configuration, engines),
}

/** Who decides about new topics was settled at the bootstrap. */
function foundingLines(told: readonly ServerEngines[], config: Config | null): Line[] {
  const founding = told.find((one) => one.founding !== null)?.founding ?? null
  if (founding === null) return []
  const lines = missingLines('new topics', founding, told, null)
  if (config === null || config.servers.length === 0) return lines
  const wanted: Decider = config.engine === null ? 'engine' : `engine:${config.engine}`
  const is = withoutInstance(founding)
  if (is === wanted) return lines
  const text = `${is} decides what a new topic is, and not ${wanted} as ${config.file} says`
  const hint = 'it was settled when the cluster was made; say in the file what is, and name the decider of each topic'
  return [...lines, { about: 'new topics', verdict: 'warn', text, hint }]
}

function deciderLines(about: string, { decider, members }: Configuration, engines: readonly ServerEngines[]): Line[] {
  const ids = members.map(({ name }) => serverIdOf(name))
  return missingLines(about, decider, engines, ids)
}

/** Servers that cannot ask who decides. @param among only these; null for all */
function missingLines(
  about: string,
  decider: Decider,
  told: readonly ServerEngines[],
  among: readonly string[] | null,
): Line[] {
  const engine = outsideEngine(decider)
  if (engine === null) return []
  const asked = told.filter(({ server, silent }) => !silent && (among === null || among.includes(server)))
  const without = asked.filter(({ engines }) => !engines.some(({ id }) => id === engine.id)).map(({ server }) => server)
  const other = asked.flatMap(({ server, engines }) => {
    const instance = engines.find(({ id }) => id === engine.id)?.instance ?? ''
    return instance === '' || instance === engine.instance ? [] : [server]
  })
  const lines: Line[] = []
  if (without.length > 0) {
    const isAll = without.length === asked.length
    const text = `${list(without)} ${without.length === 1 ? 'does' : 'do'} not have engine ${engine.id}, which decides here`
    const hint = `name it under engines in the configuration of ${list(without)}, and restart`
    lines.push({ about, verdict: isAll ? 'fail' : 'warn', text, hint })
  }
  if (other.length > 0) {
    const text = `instance ${engine.instance} of engine ${engine.id} decides here, and ${list(other)} see another one`
    const hint = 'bring back the engine that has the registers: no other one can end this epoch'
    lines.push({ about, verdict: 'fail', text, hint })
  }
  return lines
}
