/** The form of a configuration file: which keys there are and what each takes. What depends on other keys is in `checks.ts`. */
import { z } from 'zod'
import { deciders, modes, orders } from '../../proto/configuration.ts'
import { EpochcastError } from '../../proto/errors.ts'
import { serverId, topicName } from '../../proto/ids.ts'
import { parseHostPort } from '../../proto/transport/tcp-address.ts'

const sizeMax = 99

const size = z.int().min(1).max(sizeMax)

/** What a topic is to be; what is left out comes from `defaults`, then from the mode. */
const topicShape = {
  mode: z.enum(modes).optional(),
  size: size.optional(),
  minimum: size.optional(),
  decider: z.enum(deciders).optional(),
  order: z.enum(orders).optional(),
}

const hostPort = z.string().refine((text) => parseHostPort(text) !== undefined, {
  error: ({ input }) => `${JSON.stringify(input)} is not host:port`,
})

const server = z.strictObject({
  listen: hostPort,
  data: z.string().min(1),
  advertise: hostPort.optional(),
  insecure: z.boolean().optional(),
})

const topic = z.strictObject({ ...topicShape, members: z.array(z.string()).min(1).optional() })

const patienceMs = z.int().min(0).max(86_400_000)
/** How long a member of a topic may be believed dead before another takes its place; 0: for ever. */
const replaceShape = { 'fault-recovery': patienceMs.optional(), 'fault-masking': patienceMs.optional() }

export const schema = z.strictObject({
  /** Left out where a file only says what topics are to be. */
  cluster: z.strictObject({ servers: z.record(named(serverId), server) }).optional(),
  autoCreate: z.boolean().default(true),
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

/** Keys that may stand at a path, for "did you mean". */
export function keysAt(path: readonly PropertyKey[]): readonly string[] {
  if (path.length === 0) return Object.keys(schema.shape)
  if (path.length === 1 && path[0] === 'cluster') return ['servers']
  if (path.length === 1 && path[0] === 'defaults') return Object.keys(topicShape)
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
