/** The form of a configuration file: which keys there are and what each takes. What depends on other keys is in `checks.ts`. */
import { z } from 'zod'
import { didYouMean } from '../../proto/closest.ts'
import { modes, orders } from '../../proto/configuration.ts'
import { type Decider, engineId, outsideEngine, parseDecider } from '../../proto/decider.ts'
import { EpochcastError } from '../../proto/errors.ts'
import { serverId, topicName } from '../../proto/ids.ts'
import { parseSync, type Sync } from '../../proto/sync.ts'
import { parseHostPort } from '../../proto/transport/tcp-address.ts'
import { engineTypes, engineWord } from '../engines/open.ts'

export const transportTypes = ['tcp', 'nats'] as const
const sizeMax = 99

const size = z.int().min(1).max(sizeMax)

const decider = z.string().transform((text, context): Decider => {
  try {
    const parsed = parseDecider(text)
    if (outsideEngine(parsed)?.instance == null) return parsed
  } catch (error) {
    if (!(error instanceof EpochcastError)) throw error
  }
  const near = didYouMean(text, ['stakes', 'engine']) || '; it is stakes, engine, or engine:ID'
  context.addIssue({ code: 'custom', message: `${JSON.stringify(text)} is not known here${near}` })
  return z.NEVER
})

/** What a topic is to be; what is left out comes from `defaults`, then from the mode. */
const topicShape = {
  mode: z.enum(modes).optional(),
  size: size.optional(),
  minimum: size.optional(),
  decider: decider.optional(),
  order: z.enum(orders).optional(),
}

const hostPort = z.string().refine((text) => parseHostPort(text) !== undefined, {
  error: ({ input }) => `${JSON.stringify(input)} is not host:port`,
})

const text = z.string().min(1)

/** How servers flush. */
const sync = z.string().transform((given, context): Sync => {
  try {
    return parseSync(given)
  } catch (error) {
    if (!(error instanceof EpochcastError)) throw error
    const near = didYouMean(given, ['always', 'memory'])
    context.addIssue({ code: 'custom', message: `${error.message}${near === '' ? `; ${error.hint}` : near}` })
    return z.NEVER
  }
})

/** How NATS is reached. */
const natsShape = {
  servers: z.union([text, z.array(text).min(1)]).optional(),
  user: text.optional(),
  password: text.optional(),
  token: text.optional(),
  creds: text.optional(),
  nkey: text.optional(),
  tls: z.strictObject({ ca: text.optional(), cert: text.optional(), key: text.optional() }).optional(),
  prefix: text.optional(),
}

/** How servers and clients reach each other; the rest of the keys are about NATS. */
const transport = z.strictObject({ type: z.enum(transportTypes), ...natsShape })

/** Who decides outside of the cluster. Which keys go with which type is in `engines.ts`. */
const engine = z.strictObject({
  type: z.enum(engineTypes),
  ...natsShape,
  stream: z
    .string()
    .regex(engineWord, { error: 'the name of a stream is 1 to 32 letters, digits, "-" or "_"' })
    .optional(),
  replicas: z.int().min(1).max(5).optional(),
  url: text.optional(),
  force: z.boolean().optional(),
})

const server = z.strictObject({
  /** Left out where the transport is NATS. */
  listen: hostPort.optional(),
  data: z.string().min(1),
  advertise: hostPort.optional(),
  insecure: z.boolean().optional(),
  /** Of this server alone. */
  sync: sync.optional(),
})

const topic = z.strictObject({ ...topicShape, members: z.array(z.string()).min(1).optional() })

const patienceMs = z.int().min(0).max(86_400_000)
/** How long a member of a topic may be believed dead before another takes its place; 0: for ever. */
const replaceShape = { 'fault-recovery': patienceMs.optional(), 'fault-masking': patienceMs.optional() }

export const schema = z.strictObject({
  /** Left out where a file only says what topics are to be. */
  cluster: z
    .strictObject({
      servers: z.record(named(serverId), server),
      /** Decides about new topics, from the bootstrap on for ever; the arbiters where it is left out. */
      engine: named(engineId).optional(),
    })
    .optional(),
  transport: transport.optional(),
  engines: z.record(named(engineId), engine).optional(),
  autoCreate: z.boolean().default(true),
  /** When servers flush that do not say so themselves. */
  sync: sync.default('always'),
  replaceDeadAfterMs: z.strictObject(replaceShape).default({}),
  defaults: z.strictObject(topicShape).default({}),
  // `orders:` without anything behind it is a topic that is all defaults.
  topics: z
    .record(
      named(topicName),
      topic.nullable().transform((value) => value ?? {}),
    )
    .nullish(),
})

export type RawConfig = z.output<typeof schema>
export type RawTopic = z.output<typeof topic>
export type RawServer = z.output<typeof server>
export type RawTransport = z.output<typeof transport>
export type RawEngine = z.output<typeof engine>

/** Keys that may stand at a path, for "did you mean". */
export function keysAt(path: readonly PropertyKey[]): readonly string[] {
  if (path.length === 0) return Object.keys(schema.shape)
  if (path.length === 1 && path[0] === 'cluster') return ['servers', 'engine']
  if (path.length === 1 && path[0] === 'defaults') return Object.keys(topicShape)
  if (path.length === 1 && path[0] === 'transport') return Object.keys(transport.shape)
  if (path.length === 2 && path[0] === 'transport') return ['ca', 'cert', 'key']
  if (path.length === 2 && path[0] === 'engines') return Object.keys(engine.shape)
  if (path.length === 3 && path[0] === 'engines') return ['ca', 'cert', 'key']
  if (path.length === 1 && path[0] === 'replaceDeadAfterMs') return Object.keys(replaceShape)
  if (path.length === 2 && path[0] === 'topics') return Object.keys(topic.shape)
  return path.length === 3 && path[0] === 'cluster' ? Object.keys(server.shape) : []
}

/** Text that one of the product's own checks takes. */
function named(check: (text: string) => string) {
  return z.string().superRefine((text, context) => {
    try {
      check(text)
    } catch (error) {
      if (!(error instanceof EpochcastError)) throw error
      context.addIssue({ code: 'custom', message: error.message })
    }
  })
}
