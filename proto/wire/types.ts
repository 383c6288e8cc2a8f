/** The types that several messages share, as the wire carries them. */
import { modes, orders, services } from '../configuration.ts'
import { parseDecider } from '../decider.ts'
import { address, clusterId, epoch, parseServerName, publisherId, topicName } from '../ids.ts'
import type { Frontier, MessageSet } from '../message-set.ts'
import { shortages } from '../shortage.ts'
import { parseSync, type Sync } from '../sync.ts'
import { badMessage, type FieldType, flag, many, nested, one, optional, prose, text, uint, word } from './fields.ts'

export const topicType = text(200, topicName)
export const epochType = uint(epoch)
export const addressType = text(255, address)
export const serverNameType = text(80, parseServerName)
export const clusterType = text(36, clusterId)
export const changeIdType = text(64)
export const modeType = word(modes)
export const deciderType = text(64, parseDecider)
export const orderType = word(orders)
const serviceType = word(services)

const publisherBytes: FieldType<string> = {
  wire: 2,
  proto: 'bytes',
  write: (writer, value) => {
    const bytes = Buffer.from(value, 'hex')
    // The conversion stops at the first character that is no digit.
    if (bytes.length !== 8 || value.length !== 16) throw badMessage('a publisher is not 16 hexadecimal digits')
    writer.bytes(bytes)
  },
  read: (reader) => {
    const length = reader.uint32()
    if (length !== 8) throw badMessage(`publisher of ${length} bytes`)
    const at = reader.pos
    reader.skip(length)
    const { buf } = reader
    const bytes = Buffer.isBuffer(buf) ? buf : Buffer.from(buf.buffer, buf.byteOffset, buf.byteLength)
    return bytes.toString('hex', at, at + length)
  },
}

/** Eight raw bytes; sixteen hexadecimal digits everywhere else. */
export const publisherType: FieldType<ReturnType<typeof publisherId>> = {
  ...publisherBytes,
  read: (reader) => publisherId(publisherBytes.read(reader)),
}

export const member = nested({ name: one(1, serverNameType), address: one(2, addressType) }, 'Member')

export const stake = nested(
  { round: one(1, uint()), coordinator: one(2, serverNameType), incarnation: one(3, uint()) },
  'Stake',
)

const setEntries = nested(
  {
    entries: many(
      1,
      nested({ publisher: one(1, publisherType), end: one(2, uint()), digest: one(3, uint()) }, 'SetEntry'),
    ),
  },
  'MessageSet',
)

/** A prefix vector; a publisher appears once, with an end of at least 1. */
export const messageSet: FieldType<MessageSet> = {
  wire: 2,
  proto: setEntries.proto,
  ...(setEntries.fields && { fields: setEntries.fields }),
  write: (writer, value) => {
    const entries = [...value].map(([publisher, { end, digest }]) => ({ publisher, end, digest }))
    setEntries.write(writer, { entries: entries.filter((entry) => entry.end !== 0) })
  },
  read: (reader) => {
    const set = new Map<ReturnType<typeof publisherId>, Frontier>()
    for (const { publisher, end, digest } of setEntries.read(reader).entries) {
      if (end < 1 || set.has(publisher)) throw badMessage('message set names a publisher twice or without messages')
      set.set(publisher, { end, digest })
    }
    return set
  },
}

/** Ends of publishers, in an order that means something where it is a record of the sequencer. */
export const end = nested({ publisher: one(1, publisherType), end: one(2, uint()) }, 'End')

/** What a batch comes after: of its own epoch, and of the epochs of other topics. */
export const dependencies = nested(
  {
    own: many(1, end),
    others: many(2, nested({ topic: one(1, topicType), epoch: one(2, epochType), ends: many(3, end) }, 'OtherEnds')),
  },
  'Dependencies',
)

/** Which messages come next in the total order: of each publisher, what follows up to the end that is told. */
export const ranks = nested({ ends: many(1, end) }, 'Ranks')

export const configuration = nested(
  {
    topic: one(1, topicType),
    epoch: one(2, epochType),
    service: one(3, serviceType),
    mode: one(4, modeType),
    decider: one(20, deciderType),
    members: many(6, member),
    membersMin: one(7, uint()),
    order: one(8, orderType),
    floor: one(9, epochType),
    base: one(10, uint()),
    sequencer: optional(11, serverNameType),
  },
  'Configuration',
)

export const intent = nested(
  {
    changeId: one(1, changeIdType),
    members: many(2, member),
    mode: one(3, modeType),
    decider: one(20, deciderType),
    membersMin: one(5, uint()),
    order: one(6, orderType),
  },
  'Intent',
)

const proposalTimes = nested(
  { planUs: one(1, uint()), wedgeUs: one(2, uint()), stageUs: one(3, uint()) },
  'ProposalTimes',
)

export const decision = nested(
  {
    changeId: one(1, changeIdType),
    next: one(2, configuration),
    closing: one(3, messageSet),
    times: optional(4, proposalTimes),
  },
  'Decision',
)

/** A member and what it reported to hold: where a body can be fetched. */
export const source = nested({ member: one(1, member), stored: one(2, messageSet) }, 'Source')

/** Versions of the protocol that a process speaks. */
export const versionRange = nested({ min: one(1, uint()), max: one(2, uint()) }, 'VersionRange')

/** Who a cluster is: made once by its bootstrap. */
export const clusterRecord = nested(
  {
    id: one(1, clusterType),
    arbiters: many(2, member),
    /** Who decides about new topics: the arbiters where it is left out. */
    decider: optional(3, deciderType),
    /** The version of the protocol that is spoken in it: the first one where it is left out. */
    version: optional(4, uint()),
  },
  'ClusterRecord',
)

export const verdicts = ['ok', 'warn', 'fail'] as const

/** A decision engine as one server sees it. */
export const engineState = nested(
  {
    id: one(1, text(40)),
    type: one(2, text(20)),
    /** Which instance it is; left out while it has not been reached. */
    instance: optional(3, text(16)),
    /** It answers, and may be relied on. */
    ready: one(4, flag),
    findings: many(
      5,
      nested(
        {
          verdict: one(1, word(verdicts)),
          text: one(2, prose(500)),
          hint: optional(3, prose(500)),
        },
        'Finding',
      ),
    ),
  },
  'EngineState',
)

/** When a server flushes; said only where it is weaker than `always`. */
export const syncType = text(20, (given): Sync => {
  const sync = parseSync(given)
  if (sync !== given) throw badMessage(`${JSON.stringify(given)} is another way to write ${sync}`)
  return sync
})
export const serverSync = nested({ name: one(1, serverNameType), sync: one(2, syncType) }, 'ServerSync')

export const shortageType = word(shortages)
export const serverShortage = nested({ name: one(1, serverNameType), shortage: one(2, shortageType) }, 'ServerShortage')

/** How far the log of a server was seen to reach: by which of its lives, and by earlier or other ones. */
export const shownPosition = nested(
  { name: one(1, serverNameType), incarnation: one(2, uint()), position: one(3, uint()), before: one(4, uint()) },
  'ShownPosition',
)

/** How often a server was forgotten by an operator and came back: an odd count is one that is forgotten. */
export const serverLife = nested({ name: one(1, serverNameType), count: one(2, uint()) }, 'ServerLife')

/** Microseconds that each phase of a change took. */
export const phaseTimes = nested(
  {
    planUs: one(1, uint()),
    wedgeUs: one(2, uint()),
    stageUs: one(3, uint()),
    decideUs: one(4, uint()),
    startUs: one(5, uint()),
  },
  'PhaseTimes',
)
