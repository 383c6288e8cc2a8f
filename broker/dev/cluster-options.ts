/** What a cluster in this process is made of, and how that is checked. */
import { type ConnectOptions, connectOptions } from '../../client-sdk/client-options.ts'
import { type Check, whole } from '../../proto/door/checks.ts'
import { entriesOf, optionsOf } from '../../proto/door/options.ts'
import { refusal } from '../../proto/door/refusal.ts'
import { shown } from '../../proto/shown.ts'
import { engine } from '../door/engines.ts'
import { checkEngines, defaults, limits } from '../door/options.ts'
import { MemoryRegisters } from '../engines/memory.ts'
import type { TopicDefaults } from '../finder.ts'
import type { Limits } from '../host.ts'

export interface ClusterOptions {
  /** Number of servers, called a, b, c …; 3 by default, at most 26. */
  readonly servers?: number
  readonly defaults?: TopicDefaults
  readonly limits?: Partial<Limits>
  /** Decision engines that all servers have, by their ids. */
  readonly engines?: Readonly<Record<string, MemoryRegisters>>
  /** The one of them that decides about new topics, instead of the arbiters. */
  readonly founding?: string
}

/** What a client of such a cluster may be given: it is reached through the network of the cluster. */
export type ClusterConnectOptions = Omit<ConnectOptions, 'transport' | 'nats'>

const engines: Check<Readonly<Record<string, MemoryRegisters>>> = (value, what) => {
  const found: Record<string, MemoryRegisters> = Object.create(null)
  for (const [id, registers] of entriesOf(value, what)) {
    if (!(registers instanceof MemoryRegisters))
      throw refusal(`engine ${id} is ${shown(registers)}`, 'new MemoryRegisters()')
    found[engine(id, what)] = registers
  }
  return found
}

const options = optionsOf<ClusterOptions>('createCluster', {
  ...{ servers: whole(1, 26), defaults, limits, engines, founding: engine },
})

/** @throws EpochcastError `EC_BAD_ARGUMENT`, `EC_IMPOSSIBLE_MEMBERSHIP` for defaults that no topic could have */
export function clusterOptions(given: ClusterOptions): ClusterOptions {
  const checked = options(given)
  const ids = Object.keys(checked.engines ?? {})
  if (checked.founding !== undefined && !ids.includes(checked.founding)) {
    throw refusal(
      `no engine is called ${checked.founding}`,
      ids.length === 0 ? 'name it under engines' : `there are ${ids.join(', ')}`,
    )
  }
  if (checked.defaults !== undefined) checkEngines(checked.defaults, ids)
  return checked
}

/** @throws EpochcastError `EC_BAD_ARGUMENT` */
export function clusterConnectOptions(given: ClusterConnectOptions): ClusterConnectOptions {
  const checked = connectOptions(given)
  for (const name of ['transport', 'nats'] as const) {
    if (checked[name] !== undefined) throw refusal(`${name} is not for a client of a cluster in this process`)
  }
  return checked
}
