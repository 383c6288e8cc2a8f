/** One client of a virtual world: the real machine and operations, without the promises around them. */
import { readEntries } from '../../client-sdk/entries.ts'
import { type FlushResult, flushAll } from '../../client-sdk/flushing.ts'
import type { EpochFollower } from '../../client-sdk/follower.ts'
import { type ClientCall, ClientMachine } from '../../client-sdk/machine.ts'
import type { Publisher } from '../../client-sdk/operations/add.ts'
import type { Consumer, Delivery, StartAt } from '../../client-sdk/operations/delivery.ts'
import { Get, type GetResult } from '../../client-sdk/operations/get.ts'
import type { Durability, Reading } from '../../client-sdk/operations/reading.ts'
import { Subscription } from '../../client-sdk/operations/subscribe.ts'
import { Together } from '../../client-sdk/operations/together.ts'
import { One } from '../../client-sdk/operations/waiters.ts'
import { alone } from '../../client-sdk/orders/order-filter.ts'
import type { Decision, Order } from '../../proto/configuration.ts'
import { EpochcastError } from '../../proto/errors.ts'
import {
  type Address,
  type Epoch,
  epoch,
  isSystemPublisher,
  type MessageId,
  parseMessageId,
  sequence,
  topicName,
} from '../../proto/ids.ts'
import { Loop, type LoopTimers } from '../../proto/machine/loop.ts'
import type { Clock, Random } from '../../proto/machine/ports.ts'
import { endOf } from '../../proto/message-set.ts'
import type { Batch, GetLevel, Message, MessageOf, Template } from '../../proto/wire/messages.ts'
import type { Network } from './network.ts'
import type { AskedReading, Given, Operation, OperationKind } from './operations.ts'

export interface ClientNeeds {
  readonly id: Address
  readonly seeds: readonly Address[]
  readonly network: Network
  readonly timers: LoopTimers
  readonly random: Random
  readonly clock: Clock
  newOperation(kind: OperationKind, topic: string, label: string, level?: GetLevel): Operation
}

/** What a Get or a subscription asks for. */
interface Asked {
  readonly level?: GetLevel
  readonly reading?: AskedReading
}

export interface ReconfigureRequest extends Partial<Template> {
  readonly by: readonly string[]
  readonly changeId: string
  /** The epoch that is to be ended; 0 for whichever is open. */
  readonly epoch: number
}

const changeRetryTicks = 200

export class ClientNode {
  readonly id: Address
  readonly machine: ClientMachine
  readonly #needs: ClientNeeds
  readonly #loop: Loop<ClientCall>
  readonly #publishers = new Map<string, Publisher>()
  /** Callers that wait for what they published, by its operation. */
  readonly #waiters = new Map<Operation, One>()

  constructor(needs: ClientNeeds) {
    this.id = needs.id
    this.#needs = needs
    const onFault = (error: unknown) => {
      throw error
    }
    this.machine = new ClientMachine({ seeds: needs.seeds, random: needs.random, clock: needs.clock, onFault })
    this.#loop = new Loop<ClientCall>({
      machine: this.machine,
      name: `client-${needs.id}`,
      cluster: () => this.machine.cluster,
      timers: needs.timers,
      onFatal: onFault,
      onUnsent: (_message, _token, error) => onFault(error),
    })
    this.#loop.start(needs.network.attach(needs.id, this.#loop))
    this.#loop.call((out) => this.machine.introduce(() => {}, out))
  }

  /** The process is gone. */
  kill(): void {
    this.#loop.stop()
    this.#needs.network.detach(this.id)
  }

  /** Epoch of the latest notification (Definition 2). */
  epochOf(topic: string): Epoch | null {
    return this.machine.follower(topicName(topic)).epoch
  }

  create(topic: string, template: Partial<Template>): Operation {
    const operation = this.#begin('create', topic, topic)
    const message: Message = {
      kind: 'locate',
      topic: topicName(topic),
      epoch: epoch(0),
      create: true,
      members: [],
      ...template,
    }
    const answer = (reply: Message): boolean => {
      if (reply.kind === 'located') operation.step({ kind: 'located', message: reply }, true)
      if (reply.kind === 'refused') operation.step({ kind: 'refused', message: reply }, true)
      return operation.over
    }
    const to = () => this.machine.servers.addresses()
    this.#loop.call((out) => this.machine.requests.ask({ message, to, answer }, out))
    return operation
  }

  /** @param onEpochEnd `settle`: resolves with `dropped` instead of adding it again */
  add(topic: string, value: string, onEpochEnd: 'republish' | 'settle' = 'republish'): Operation {
    const operation = this.#begin('add', topic, value)
    let publisher = this.#publishers.get(topic)
    if (publisher === undefined) {
      const created = this.machine.createPublisher(topicName(topic))
      this.#publishers.set(topic, created)
      this.#loop.call((out) => this.machine.follower(topicName(topic)).add(created, out))
      publisher = created
    }
    const waiter = new One(
      ({ id, status }) => operation.step({ kind: 'added', id: parseMessageId(id), status }, true),
      (error) => operation.step({ kind: 'failed', code: error.code, text: error.message }, true),
      onEpochEnd === 'settle',
    )
    this.#waiters.set(operation, waiter)
    publisher.publish(Buffer.from(value), waiter)
    this.#loop.call(() => {})
    return operation
  }

  /** The caller of an Add gives up, if it still waits. */
  giveUp(operation: Operation): void {
    const waiter = this.#waiters.get(operation)
    const publisher = this.#publishers.get(operation.topic)
    if (operation.over || waiter === undefined || publisher === undefined) return
    publisher.giveUp(waiter, new EpochcastError('EC_TIMEOUT', `publish to ${operation.topic} took too long`))
    this.#loop.call(() => {})
  }

  get(topic: string, level: GetLevel = 'linearizable'): Operation {
    const operation = this.#begin('get', topic, level, { level })
    this.#collect(operation, level, null, (result) => {
      const given = result.given.flatMap(({ batch, skip }) => messagesOf(batch, skip))
      operation.step({ kind: 'got', epoch: result.position.epoch, floor: result.floor, given }, true)
    })
    return operation
  }

  /** Of all topics of this client. */
  flush(topic: string): Operation {
    const operation = this.#begin('flush', topic, topic)
    const told = ({ durableCount, dropped }: FlushResult) =>
      operation.step({ kind: 'flushed', durableCount, dropped: dropped.map(parseMessageId) }, true)
    this.#loop.call(() => flushAll(this.machine, () => true, told))
    return operation
  }

  /** @param order what is asked for; null for what every topic gives */
  subscribe(
    topic: string,
    name: string,
    startAt: StartAt = 'start',
    order: Order | null = null,
    durability: Durability = 'durable',
  ): Operation {
    const operation = this.#begin('subscribe', topic, name, { reading: { order, durability, startAt } })
    this.#subscribe(operation, topic, startAt, { order, durability, gate: alone })
    return operation
  }

  /** Several topics as one causal stream. */
  together(topics: readonly string[], name: string, startAt: StartAt = 'start'): Operation[] {
    const together = new Together((topic) => this.machine.follower(topic))
    this.#loop.call(() => this.machine.addTogether(together))
    return topics.map((topic) => {
      const reading = { order: 'causal', durability: 'durable', startAt, together: name } as const
      const operation = this.#begin('subscribe', topic, name, { reading })
      const subscription = this.#subscribe(operation, topic, startAt, {
        order: 'causal',
        durability: 'durable',
        gate: together,
      })
      this.#loop.call(() => together.add(subscription))
      return operation
    })
  }

  #subscribe(operation: Operation, topic: string, startAt: StartAt, reading: Reading): Subscription {
    const follower = this.machine.follower(topicName(topic))
    const { servers, requests } = this.machine
    const consumer: Consumer = {
      deliver: (delivery) => this.#delivered(operation, subscription, delivery),
      failed: (error) => operation.step({ kind: 'failed', code: error.code, text: error.message }, true),
    }
    const subscription: Subscription = new Subscription(startAt, follower, servers, requests, consumer, reading)
    this.#loop.call((out) => this.machine.addSubscription(subscription, topicName(topic), out))
    return subscription
  }

  /** Notifications of configurations, one by one. */
  follow(topic: string): Operation {
    const operation = this.#begin('follow', topic, topic)
    const follower: EpochFollower = {
      begun: (configuration) => operation.step({ kind: 'notified', epoch: configuration.epoch }),
      moved: (decision) => operation.step({ kind: 'notified', epoch: decision.next.epoch }),
      failed: (error) => operation.step({ kind: 'failed', code: error.code, text: error.message }, true),
    }
    this.#loop.call((out) => this.machine.follower(topicName(topic)).add(follower, out))
    return operation
  }

  reconfigure(topic: string, request: ReconfigureRequest): Operation {
    const { by, changeId, epoch: of, ...template } = request
    const operation = this.#begin('reconfigure', topic, changeId)
    const message: Message = {
      kind: 'reconfigure',
      topic: topicName(topic),
      epoch: epoch(of),
      changeId,
      members: [],
      ...template,
    }
    const answer = (reply: Message): boolean => {
      if (reply.kind === 'progress') operation.step({ kind: 'phase', phase: reply.phase, detail: reply.detail })
      if (reply.kind === 'refused') operation.step({ kind: 'refused', message: reply }, true)
      if (reply.kind === 'changed') operation.step({ kind: 'changed', message: reply }, reply.final || reply.superseded)
      return operation.over
    }
    const to = () => (by.length > 0 ? (by as readonly Address[]) : this.machine.servers.addresses())
    this.#loop.call((out) => this.machine.requests.ask({ message, to, answer, retryTicks: changeRetryTicks }, out))
    return operation
  }

  /** What became of one Add: a Get without bodies about it while its epoch is open, else the decision that ended it. */
  outcome(topic: string, id: MessageId): Operation {
    const label = `${id.epoch}-${id.publisher}-${id.sequence}`
    const operation = this.#begin('outcome', topic, label)
    const follower = this.machine.follower(topicName(topic))
    const ended = (decision: Decision | null) => {
      if (decision === null) operation.step({ kind: 'outcome', outcome: 'expired' }, true)
      else {
        const outcome = endOf(decision.closing, id.publisher) >= id.sequence ? 'included' : 'dropped'
        operation.step({ kind: 'outcome', outcome }, true)
      }
    }
    const told = ({ position }: GetResult) => {
      if (position.epoch === id.epoch) {
        const outcome = endOf(position.seen, id.publisher) >= id.sequence ? 'durable' : 'pending'
        operation.step({ kind: 'outcome', outcome }, true)
      } else this.#loop.call((out) => follower.want(id.epoch, ended, out))
    }
    this.#collect(operation, 'linearizable', 'numbers', told, id)
    return operation
  }

  /** Sends a message of this client's own making. */
  raw(to: readonly string[], message: Message): void {
    this.#loop.call((out) => out.push({ kind: 'send', to: to as readonly Address[], token: 0, message }))
  }

  #begin(kind: OperationKind, topic: string, label: string, asked: Asked = {}): Operation {
    const operation = this.#needs.newOperation(kind, topic, label, asked.level)
    operation.reading = asked.reading ?? null
    operation.step({ kind: 'invoked', epoch: this.epochOf(topic) })
    return operation
  }

  #collect(
    operation: Operation,
    level: GetLevel,
    since: 'numbers' | null,
    told: (result: GetResult) => void,
    about: MessageId | null = null,
  ): void {
    const { topic } = operation
    const { servers, requests } = this.machine
    const follower = this.machine.follower(topicName(topic))
    const done = (result: GetResult | EpochcastError) => {
      if (result instanceof EpochcastError)
        operation.step({ kind: 'failed', code: result.code, text: result.message }, true)
      else told(result)
    }
    const get = new Get(level, since, follower, servers, requests, done, about)
    this.#loop.call((out) => this.machine.addGet(get, topicName(topic), out))
  }

  #delivered(operation: Operation, subscription: Subscription, delivery: Delivery): void {
    switch (delivery.kind) {
      case 'batch': {
        const { batch, skip, position, early, lost } = delivery
        messagesOf(batch, skip).forEach((given, at) => {
          const place = position === null ? {} : { position: position + skip + at }
          operation.step({
            kind: 'delivered',
            given,
            ...place,
            ...(early && { early }),
            ...(lost.length > 0 && { lost }),
          })
        })
        this.#loop.call((out) => subscription.consumed(batch.body.length, out))
        return
      }
      case 'confirmed':
      case 'retracted': {
        const { epoch: of, publisher, first, last } = delivery.run
        for (let number = first; number <= last; number++) {
          operation.step({ kind: delivery.kind, id: { epoch: of, publisher, sequence: sequence(number) } })
        }
        return
      }
      case 'position':
        operation.step({ kind: 'position', position: delivery.position })
        return
      case 'epoch': {
        const { decision, own } = delivery
        const [included, dropped] = [own.included.length, own.dropped.length]
        operation.step({ kind: 'epoch', decision, included, dropped })
        return
      }
      case 'gap':
        operation.step({ kind: 'gap', from: delivery.from, to: delivery.to })
        return
    }
  }
}

/** The messages of a batch, behind the first `skip`. */
export function messagesOf(batch: Batch | MessageOf<'batch'>, skip = 0): Given[] {
  // Records of the system, and batches without their bodies.
  if (isSystemPublisher(batch.publisher) || batch.body.length === 0) return []
  const payloads = readEntries(batch.body, batch.last - batch.first + 1)
  return payloads.slice(skip).map((payload, at) => ({
    id: { epoch: batch.epoch, publisher: batch.publisher, sequence: sequence(batch.first + skip + at) },
    value: Buffer.from(payload).toString(),
  }))
}
