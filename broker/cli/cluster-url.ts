import { formatNatsUrl } from '../../proto/transport/nats-options.ts'
import type { Config } from '../config/config.ts'

/** Where the cluster of a configuration file is reached; undefined where the file names no server. */
export function clusterUrl(config: Config): string | undefined {
  if (config.nats !== null) return formatNatsUrl(config.nats)
  if (config.servers.length === 0) return undefined
  return `epochcast://${config.servers.map(({ address }) => address).join(',')}`
}
