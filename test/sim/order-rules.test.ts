// Goal: the rules of order see what is wrong and let pass what is right. Method: short histories written by hand, each wrong one
// beside a right one that is nearly the same.
import { describe, expect, it } from 'vitest'
import type { Configuration, Decision, Order } from '../../proto/configuration.ts'
import {
  epoch,
  type PublisherId,
  sequence,
  sequencerPublisher,
  serverId,
  serverName,
  topicName,
} from '../../proto/ids.ts'
import { messageBytes } from '../../proto/wire/codec.ts'
import type { Batch } from '../../proto/wire/messages.ts'
import { checkOrders } from '../../sim/check/order-rules.ts'
import type { WorldEvent } from '../../sim/world/events.ts'
import { Operation, type Step } from '../../sim/world/operations.ts'

const publishers: Record<string, PublisherId> = {
  x: '000000000000000a' as PublisherId,
  y: '000000000000000b' as PublisherId,
}

/** Writes a history: clients send `x1` (the first message of x), readers are given it. */
class Story {
  readonly trace: WorldEvent[] = []
  readonly #order: Order
  readonly #mode: Configuration['mode']
  #numbers = 0

  constructor(order: Order, mode: Configuration['mode'] = 'fault-masking', topics: readonly string[] = ['t']) {
    this.#order = order
    this.#mode = mode
    for (const topic of topics) {
      const creation = this.#operation('create', 'admin', topic)
      const configuration = this.#configuration(topic, 1)
      creation.step({
        kind: 'located',
        message: {
          kind: 'located',
          topic: topicName(topic),
          epoch: epoch(0),
          configuration,
          servers: [],
          created: true,
          full: [],
        },
      })
    }
  }

  reader(client: string, order: Order = this.#order, topic = 't', together?: string): Operation {
    const operation = this.#operation('subscribe', client, topic)
    operation.reading = { order, durability: 'durable', startAt: 'start', ...(together && { together }) }
    operation.step({ kind: 'invoked', epoch: epoch(1) })
    return operation
  }

  send(message: string, topic = 't', of = 1): void {
    const number = Number(message.slice(1))
    const batch: Batch = {
      kind: 'batch',
      topic: topicName(topic),
      epoch: epoch(of),
      publisher: publishers[message.slice(0, 1)] as PublisherId,
      first: number,
      last: number,
      time: 0,
      check: 0,
      body: new Uint8Array([1, 0]),
    }
    const parcel = { from: message.slice(0, 1), to: '1', kind: 'batch', message: batch }
    this.trace.push({ what: 'send', at: 0, parcel } as unknown as WorldEvent)
  }

  give(reader: Operation, message: string, position?: number, of = 1): void {
    const given = { id: this.id(message, of), value: message }
    reader.step({ kind: 'delivered', given, ...(position !== undefined && { position }) })
  }

  end(reader: Operation, closing: Record<string, number>, of = 1): void {
    const ends = Object.entries(closing).map(
      ([client, end]) => [publishers[client] as PublisherId, { end, digest: 0 }] as const,
    )
    const next = this.#configuration(reader.topic, of + 1)
    const decision: Decision = { changeId: `r${of}`, next, closing: new Map(ends) }
    reader.step({ kind: 'epoch', decision, included: 0, dropped: 0 })
  }

  /** The sequencer's record: these come next. */
  rank(...messages: readonly string[]): void {
    const ends = messages.map((message) => ({ publisher: this.id(message).publisher, end: Number(message.slice(1)) }))
    const body = messageBytes({
      kind: 'batch',
      topic: topicName('t'),
      epoch: epoch(1),
      publisher: sequencerPublisher,
      first: 1,
      last: 1,
      time: 0,
      check: 0,
      body: new Uint8Array([1, 0]),
      ranks: { ends },
    })
    const server = serverName(serverId('1'), '00000000-0000-4000-8000-000000000001')
    this.trace.push({ what: 'flush', at: 0, server, records: [{ kind: 'batch', body, position: 0 }] })
  }

  add(message: string): Operation {
    const operation = this.#operation('add', message.slice(0, 1), 't')
    operation.step({ kind: 'invoked', epoch: epoch(1) })
    return operation
  }

  added(operation: Operation, message: string): void {
    operation.step({ kind: 'added', id: this.id(message), status: 'durable' }, true)
  }

  id(message: string, of = 1) {
    const publisher = publishers[message.slice(0, 1)] as PublisherId
    return { epoch: epoch(of), publisher, sequence: sequence(Number(message.slice(1))) }
  }

  broken(isOver = false): string[] {
    return [...new Set(checkOrders(this.trace, { isOver }).map((line) => line.slice(0, 2)))]
  }

  #operation(kind: Operation['kind'], client: string, topic: string): Operation {
    const of = { number: this.#numbers++, kind, client, topic, label: client, level: null }
    return new Operation(of, (operation, step: Step) => this.trace.push({ what: 'operation', at: 0, operation, step }))
  }

  #configuration(topic: string, of: number): Configuration {
    const rest = {
      service: 'multicast',
      decider: 'stakes',
      members: [],
      membersMin: 1,
      floor: epoch(1),
      base: 0,
    } as const
    return { topic: topicName(topic), epoch: epoch(of), mode: this.#mode, order: this.#order, ...rest }
  }
}

function told(
  order: Order,
  tell: (story: Story) => void,
  isOver = false,
  mode: Configuration['mode'] = 'fault-masking',
) {
  const story = new Story(order, mode, ['t', 'u'])
  tell(story)
  return story.broken(isOver)
}

describe('rules of order', () => {
  it('F1: in sequence, without gap and repeat', () => {
    const given = (...messages: string[]) =>
      told('fifo', (story) => {
        for (const message of messages) story.send(message)
        const reader = story.reader('z')
        for (const message of messages) story.give(reader, message)
      })
    expect(given('x1', 'x2', 'y1', 'x3')).toEqual([])
    expect(given('x1', 'x3')).toEqual(['F1'])
    expect(given('x1', 'x1')).toEqual(['F1'])
    expect(given('x2')).toEqual(['F1'])
  })

  it('F2: causes before effects', () => {
    const causal = (order: Order, yReads: boolean, givenFirst: string, then: string) =>
      told(order, (story) => {
        const [y, z] = [story.reader('y'), story.reader('z')]
        story.send('x1')
        if (yReads) story.give(y, 'x1')
        story.send('y1')
        story.give(z, givenFirst)
        story.give(z, then)
      })
    expect(causal('causal', true, 'x1', 'y1')).toEqual([])
    expect(causal('causal', true, 'y1', 'x1')).toEqual(['F2'])
    expect(causal('causal', false, 'y1', 'x1')).toEqual([])
    expect(causal('fifo', true, 'y1', 'x1')).toEqual([])
  })

  it('F2: through somebody who was not given the cause itself', () => {
    const through = (...given: string[]) =>
      told('causal', (story) => {
        const [y, z] = [story.reader('y'), story.reader('z')]
        story.send('x1')
        story.send('x2')
        story.give(y, 'x1')
        story.send('y1')
        for (const message of given) story.give(z, message)
      })
    expect(through('x1', 'y1', 'x2')).toEqual([])
    expect(through('x1', 'x2', 'y1')).toEqual([])
    expect(through('y1', 'x1', 'x2')).toEqual(['F2'])
  })

  it('F2: across topics that are read together, and not across those that are not', () => {
    const across = (together: string | undefined) =>
      told('causal', (story) => {
        const y = story.reader('y')
        const [t, u] = [story.reader('z', 'causal', 't', together), story.reader('z', 'causal', 'u', together)]
        story.send('x1')
        story.give(y, 'x1')
        story.send('y1', 'u')
        story.give(u, 'y1')
        story.give(t, 'x1')
      })
    expect(across('both')).toEqual(['F2'])
    expect(across(undefined)).toEqual([])
  })

  it('F3: one position, one message, for everybody, without a hole', () => {
    const placed = (one: readonly [string, number][], other: readonly [string, number][]) =>
      told('total', (story) => {
        for (const message of ['x1', 'x2', 'y1']) story.send(message)
        for (const [client, given] of [['v', one] as const, ['w', other] as const]) {
          const reader = story.reader(client)
          for (const [message, position] of given) story.give(reader, message, position)
        }
      })
    expect(
      placed(
        [
          ['x1', 1],
          ['y1', 2],
        ],
        [
          ['x1', 1],
          ['y1', 2],
          ['x2', 3],
        ],
      ),
    ).toEqual([])
    expect(
      placed(
        [
          ['x1', 1],
          ['y1', 2],
        ],
        [
          ['y1', 1],
          ['x1', 2],
        ],
      ),
    ).toEqual(['F3'])
    expect(
      placed(
        [
          ['x1', 1],
          ['y1', 3],
        ],
        [],
      ),
    ).toEqual(['F3'])
    expect(
      placed(
        [
          ['x1', 1],
          ['y1', 2],
        ],
        [
          ['x1', 1],
          ['x2', 2],
        ],
      ),
    ).toEqual(['F3'])
  })

  it('F3: where every member stores, an Add that was done comes before one that begins then', () => {
    const added = (mode: Configuration['mode'], isLater: boolean, isRanked = true) =>
      told(
        'total',
        (story) => {
          const first = story.add('x1')
          const second = isLater ? null : story.add('y1')
          story.send('x1')
          story.send('y1')
          if (isRanked) story.rank('y1', 'x1')
          story.added(first, 'x1')
          story.added(second ?? story.add('y1'), 'y1')
          const reader = story.reader('z')
          story.give(reader, 'y1', 1)
          story.give(reader, 'x1', 2)
        },
        false,
        mode,
      )
    expect(added('fault-recovery', true)).toEqual(['F3'])
    expect(added('fault-recovery', false)).toEqual([])
    expect(added('fault-recovery', true, false)).toEqual([])
    expect(added('fault-masking', true)).toEqual([])
  })

  it('F5: in the end everything durable was given', () => {
    const over = (isGiven: boolean, isOver: boolean) =>
      told(
        'fifo',
        (story) => {
          const reader = story.reader('z')
          const add = story.add('x1')
          story.send('x1')
          story.added(add, 'x1')
          if (isGiven) story.give(reader, 'x1')
        },
        isOver,
      )
    expect(over(true, true)).toEqual([])
    expect(over(false, true)).toEqual(['F5'])
    expect(over(false, false)).toEqual([])
  })

  it('F6: the closing set before its end, nothing after it, epochs in order', () => {
    const passed = (closing: Record<string, number>, after?: readonly [string, number]) =>
      told('fifo', (story) => {
        const reader = story.reader('z')
        story.send('x1')
        story.give(reader, 'x1')
        story.end(reader, closing)
        if (after === undefined) return
        story.send(after[0], 't', after[1])
        story.give(reader, after[0], undefined, after[1])
      })
    expect(passed({ x: 1 })).toEqual([])
    expect(passed({ x: 1 }, ['x1', 2])).toEqual([])
    expect(passed({ x: 2 })).toEqual(['F6'])
    expect(passed({ x: 1 }, ['x2', 1])).toEqual(['F6'])
  })
})
