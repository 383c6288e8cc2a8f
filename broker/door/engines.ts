/** Decision engines outside of the cluster, as an option. */
import { engineId } from '../../proto/decider.ts'
import { type Check, distinct, flag, listOf, text, whole, word } from '../../proto/door/checks.ts'
import { natsChecks } from '../../proto/door/nats.ts'
import { requiring } from '../../proto/door/options.ts'
import { refusal } from '../../proto/door/refusal.ts'
import { shown } from '../../proto/shown.ts'
import { checkNatsOptions } from '../../proto/transport/nats-options.ts'
import { type EngineConfig, engineTypes, engineWord } from '../engines/open.ts'
import { checkRedisUrl } from '../engines/redis-url.ts'

type Of<Type extends EngineConfig['type']> = Extract<EngineConfig, { readonly type: Type }>

export const engine: Check<string> = (value, what) => engineId(text(64)(value, what))
const name: Check<string> = (value, what) => {
  if (typeof value === 'string' && engineWord.test(value)) return value
  throw refusal(`${what} ${shown(value)} must be 1 to 32 letters, digits, "-" or "_"`)
}

const redis = requiring<Of<'redis'>, 'id' | 'url'>(
  'redis',
  {
    ...{ type: word(['redis']), id: engine, prefix: name, password: text(1_000, 0), force: flag },
    url: (value, what) => checkRedisUrl(text(1_000)(value, what)),
  },
  ['id', 'url'],
)
const jetStream = requiring<Of<'jetstream'>, 'id' | 'servers'>(
  'jetstream',
  { ...natsChecks, type: word(['jetstream']), id: engine, prefix: name, stream: name, replicas: whole(1, 5) },
  ['id', 'servers'],
)

const engineConfig: Check<EngineConfig> = (value) => {
  const { type: given } = (value ?? {}) as { readonly type?: unknown }
  const type = word(engineTypes)(given, 'the type of an engine')
  if (type === 'redis') return redis(value)
  const options = jetStream(value)
  return { ...options, ...checkNatsOptions(options) }
}

/** Each under an id of its own. */
export const engineConfigs: Check<readonly EngineConfig[]> = (value, what) => {
  const configs = listOf(engineConfig)(value, what)
  distinct(engine)(
    configs.map((config) => config.id),
    'the ids of engines',
  )
  return configs
}
