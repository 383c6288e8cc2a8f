/** Writes the history of a virtual world: every event that a rule may ask for, as it happens. */
import type { Decision } from '../../proto/configuration.ts'
import { formatMessageId, previousEpoch, type ServerName } from '../../proto/ids.ts'
import { countOf, type MessageSet } from '../../proto/message-set.ts'
import { formatStake } from '../../proto/stake.ts'
import { decodeMessage, decodeRecord } from '../../proto/wire/codec.ts'
import { isTopical, type Message } from '../../proto/wire/messages.ts'
import type { LogRecord } from '../../proto/wire/records.ts'
import { messagesOf } from '../world/client-node.ts'
import type { WorldEvent } from '../world/events.ts'
import type { Operation, Step } from '../world/operations.ts'
import type { DiskRecord } from '../world/virtual-disk.ts'
import type { World } from '../world/world.ts'
import { decisionText } from './decision-text.ts'
import { type EndsByPublisher, type HistoryEvent, historyFormat, type NewEvent, type OperationName } from './history.ts'
import { isRefusedForGood } from './refused-adds.ts'

export class Recorder {
  readonly events: HistoryEvent[] = []
  readonly #world: World
  readonly #told: (event: HistoryEvent) => void
  /** Names of decisions and proposals by their text. */
  readonly #names = new Map<string, string>()
  readonly #sent = new Set<string>()
  /** A client that comes back under its name is another one. */
  readonly #incarnations = new Map<string, number>()

  /** @param told called with every event once it has its place */
  constructor(world: World, source: string, told: (event: HistoryEvent) => void = () => {}) {
    this.#world = world
    this.#told = told
    const arbiters = world.cluster?.arbiters.map(({ name }) => name) ?? []
    this.note({ kind: 'header', at: world.now, format: historyFormat, order: 'total', source, arbiters })
    for (const { name } of world.servers.values()) this.note({ kind: 'boot', at: world.now, srv: name, lsn: -1 })
    world.watchers.push((event) => this.#see(event))
  }

  /** Adds an event of the run itself: a fault, the end. */
  note(event: NewEvent): void {
    const placed = { i: this.events.length, ...event } as HistoryEvent
    this.events.push(placed)
    this.#told(placed)
  }

  /** Short name of a decision, which is written down the first time. */
  nameOf(decision: Decision): string {
    const text = decisionText(decision)
    const known = this.#names.get(text)
    if (known !== undefined) return known
    const { next, changeId } = decision
    const rc = `${next.topic}/${previousEpoch(next.epoch)}/${this.#names.size}`
    this.#names.set(text, rc)
    this.note({
      kind: 'rc',
      at: this.#world.now,
      rc,
      topic: next.topic,
      epoch: previousEpoch(next.epoch),
      change: changeId,
      members: next.members.map(({ name }) => name),
      mode: next.mode,
      decider: next.decider,
      floor: next.floor,
      closing: endsOf(decision.closing),
    })
    return rc
  }

  #see(event: WorldEvent): void {
    switch (event.what) {
      case 'send':
        return this.#said(event.parcel.from, event.parcel.kind, () => event.parcel.message)
      case 'flush':
        for (const record of event.records) this.#kept(event.server, record)
        return
      case 'start':
        return this.note({ kind: 'boot', at: event.at, srv: event.server, lsn: event.lsn })
      case 'crash':
        return this.note({ kind: 'crash', at: event.at, srv: event.server })
      case 'disk-lost':
        return this.note({ kind: 'diskLost', at: event.at, srv: event.server })
      case 'disk-old':
        return this.note({ kind: 'diskOld', at: event.at, srv: event.server })
      case 'decided': {
        const message = decodeMessage(event.value)
        if (message.kind !== 'decided') return
        const { topic, epoch, decision } = message
        return this.note({ kind: 'decided', at: event.at, topic, epoch, rc: this.nameOf(decision) })
      }
      case 'operation':
        return this.#stepped(event.operation, event.step)
      case 'gone':
        this.note({ kind: 'gone', at: event.at, client: this.#client(event.client) })
        this.#incarnations.set(event.client, (this.#incarnations.get(event.client) ?? 0) + 1)
        return
      default:
        return
    }
  }

  #client(id: string): string {
    const incarnation = this.#incarnations.get(id) ?? 0
    return incarnation === 0 ? id : `${id}#${incarnation}`
  }

  #stepped(operation: Operation, step: Step): void {
    const { number: op, topic } = operation
    const at = this.#world.now
    switch (step.kind) {
      case 'invoked': {
        const f = nameOfKind[operation.kind]
        if (f === null) return
        const { label, level, reading } = operation
        return this.note({
          kind: 'inv',
          at,
          op,
          f,
          client: this.#client(operation.client),
          topic,
          epoch: step.epoch ?? 0,
          ...(f === 'add' && { value: label }),
          ...(level !== null && { level }),
          ...(f === 'outcome' && { id: label }),
          ...(f === 'reconf' && { change: label }),
          ...(f === 'subscribe' && { from: label.startsWith('new') ? ('new' as const) : ('start' as const) }),
          ...(reading?.order && { order: reading.order }),
          ...(reading?.durability === 'early' && { early: true }),
        })
      }
      case 'added': {
        const id = formatMessageId(step.id)
        if (step.status === 'dropped') this.note({ kind: 'fail', at, op, f: 'add', id, code: 'dropped' })
        else this.note({ kind: 'ok', at, op, f: 'add', id, status: step.status })
        return
      }
      case 'got': {
        const ids = step.given.map((given) => formatMessageId(given.id))
        const values = step.given.map(({ value }) => value)
        return this.note({ kind: 'ok', at, op, f: 'get', epoch: step.epoch, floor: step.floor, ids, values })
      }
      case 'delivered': {
        const { given, position: pos, early } = step
        const { value } = given
        const id = formatMessageId(given.id)
        const more = { ...(pos !== undefined && { pos }), ...(early === true && { early }) }
        return this.note({ kind: 'dlv', at, sub: op, topic, id, value, ...more })
      }
      case 'confirmed':
      case 'retracted':
        return this.note({ kind: step.kind, at, sub: op, topic, id: formatMessageId(step.id) })
      case 'epoch': {
        const epoch = previousEpoch(step.decision.next.epoch)
        const rc = this.nameOf(step.decision)
        return this.note({ kind: 'closed', at, sub: op, topic, epoch, count: countOf(step.decision.closing), rc })
      }
      case 'gap':
        return this.note({ kind: 'gap', at, sub: op, topic, from: step.from, to: step.to })
      case 'notified':
        return this.note({ kind: 'view', at, client: this.#client(operation.client), topic, epoch: step.epoch })
      case 'changed': {
        if (!operation.over) return
        const { decision, superseded } = step.message
        const rc = this.nameOf(decision)
        return this.note({ kind: 'ok', at, op, f: 'reconf', epoch: decision.next.epoch, superseded, rc })
      }
      case 'outcome':
        return this.note({ kind: 'ok', at, op, f: 'outcome', outcome: step.outcome })
      case 'located':
        return this.note({ kind: 'ok', at, op, f: 'create' })
      case 'refused':
      case 'failed': {
        const f = nameOfKind[operation.kind]
        if (f === null) return
        const code = step.kind === 'refused' ? step.message.refusal : step.code
        // A change that was refused may have been decided; an Add that failed may have been stored, unless it never left.
        const hasNotLeft = f === 'add' && (code === 'EC_TIMEOUT' || isRefusedForGood(code))
        const isOver = f === 'get' || f === 'outcome' || hasNotLeft
        return this.note({ kind: isOver ? 'fail' : 'info', at, op, f, code })
      }
      default:
        return
    }
  }

  #kept(srv: ServerName, record: DiskRecord): void {
    const message = messageOf(record)
    if (!isTopical(message)) return
    const { topic, epoch } = message
    const at = this.#world.now
    const where = { at, srv, topic, epoch, lsn: record.position }
    switch (message.kind) {
      case 'batch': {
        const { publisher: pub, first, last } = message
        return this.note({ kind: record.kind === 'staged' ? 'staged' : 'stored', ...where, pub, first, last })
      }
      case 'wedge':
        return this.note({ kind: 'wedged', ...where, stake: formatStake(message.stake) })
      case 'arbiter-prepare':
        return this.note({ kind: 'promised', ...where, stake: formatStake(message.stake) })
      case 'accept':
      case 'arbiter-accept': {
        const rc = this.nameOf(message.decision)
        const by = message.kind === 'accept' ? 'member' : 'arbiter'
        return this.note({ kind: 'accepted', ...where, by, stake: formatStake(message.stake), rc })
      }
      case 'opening': {
        const rc = this.nameOf(message.decision)
        return this.note({ kind: 'started', ...where, epoch: message.decision.next.epoch, rc })
      }
      default:
        return
    }
  }

  #said(from: string, kind: Message['kind'], read: () => Message): void {
    if (!recorded.has(kind)) return
    const node = this.#world.servers.get(from)
    if (node === undefined) {
      if (kind === 'batch') this.#published(from, read())
      return
    }
    const message = read()
    if (!isTopical(message)) return
    const { topic, epoch } = message
    const where = { at: this.#world.now, srv: node.name, topic, epoch }
    switch (message.kind) {
      case 'stored':
        return this.note({ kind: 'ackSent', ...where, pub: message.publisher, end: message.end })
      case 'held':
        return this.note({ kind: 'served', ...where, f: 'collect', set: endsOf(message.stored) })
      case 'report':
        return this.note({ kind: 'served', ...where, f: 'report', set: endsOf(message.stored) })
      case 'wedged': {
        const { stake, stored } = message
        return this.note({ kind: 'suspSent', ...where, stake: formatStake(stake), set: endsOf(stored) })
      }
      case 'accept':
      case 'arbiter-accept': {
        const rc = this.nameOf(message.decision)
        const to = message.kind === 'accept' ? 'member' : 'arbiter'
        return this.note({ kind: 'proposed', ...where, to, stake: formatStake(message.stake), rc })
      }
      case 'accepted':
      case 'arbiter-accepted': {
        const by = message.kind === 'accepted' ? 'member' : 'arbiter'
        return this.note({ kind: 'acceptSent', ...where, by, stake: formatStake(message.stake) })
      }
      case 'start': {
        const rc = this.nameOf(message.decision)
        return this.note({ kind: 'startSent', ...where, stake: formatStake(message.stake), rc })
      }
      default:
        return
    }
  }

  #published(from: string, message: Message): void {
    if (message.kind !== 'batch') return
    const { topic, epoch, publisher: pub, first, last } = message
    const key = `${topic} ${epoch}-${pub}-${first}-${last}`
    if (this.#sent.has(key)) return
    this.#sent.add(key)
    const values = messagesOf(message).map(({ value }) => value)
    const client = this.#client(from)
    this.note({ kind: 'sent', at: this.#world.now, client, topic, epoch, pub, first, last, values })
  }
}

const nameOfKind: Record<Operation['kind'], OperationName | null> = {
  create: 'create',
  add: 'add',
  get: 'get',
  subscribe: 'subscribe',
  follow: null,
  reconfigure: 'reconf',
  outcome: 'outcome',
  flush: null,
}

const recorded: ReadonlySet<Message['kind']> = new Set([
  'batch',
  'stored',
  'held',
  'report',
  'wedged',
  'accept',
  'arbiter-accept',
  'accepted',
  'arbiter-accepted',
  'start',
])

const read = new WeakMap<DiskRecord, LogRecord>()

/** What a record says, read once. */
export function messageOf(record: DiskRecord): LogRecord {
  let message = read.get(record)
  if (message === undefined) {
    message = decodeRecord(record.body)
    read.set(record, message)
  }
  return message
}

function endsOf(set: MessageSet): EndsByPublisher {
  const ends: Record<string, number> = {}
  for (const [publisher, { end }] of set) ends[publisher] = end
  return ends
}
