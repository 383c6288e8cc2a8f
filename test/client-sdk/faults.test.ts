// Goal: what is thrown inside of a turn ends the operation that threw it, and no other. Method: the client's machine in a loop of
// virtual time, with operations that throw at every place where the machine calls them, and messages that cannot be written.
import { describe, expect, it } from 'vitest'
import { ClientMachine } from '../../client-sdk/machine.ts'
import { One } from '../../client-sdk/operations/waiters.ts'
import type { Configuration } from '../../proto/configuration.ts'
import type { EpochcastError } from '../../proto/errors.ts'
import { address, clusterId, epoch, parseServerName, publisherId, topicName } from '../../proto/ids.ts'
import type { Effect, Input } from '../../proto/machine/contract.ts'
import { Loop } from '../../proto/machine/loop.ts'
import type { Message } from '../../proto/wire/messages.ts'
import { passTime } from '../harness/pass-time.ts'

const cluster = clusterId('11111111-2222-4333-8444-555555555555')
const server = parseServerName('a@11111111-2222-4333-8444-666666666666')
const at = address('127.0.0.1:1')
const topic = topicName('t')
const configuration: Configuration = {
  ...{ topic, epoch: epoch(1), service: 'multicast', mode: 'single', decider: 'engine' },
  ...{ members: [{ name: server, address: at }], membersMin: 1, order: 'fifo', floor: epoch(1), base: 0 },
}

const nothing: Message = { kind: 'topics', configurations: [], more: false }

function machineOf() {
  const faults: unknown[] = []
  const machine = new ClientMachine({
    seeds: [at],
    random: { below: () => 0 },
    clock: { nowMs: () => 1_000 },
    onFault: (error) => faults.push(error),
  })
  const step = (input: Input<(out: Effect[]) => void>) => {
    const out: Effect[] = []
    machine.step(input, out)
    return out
  }
  const call = (run: (out: Effect[]) => void, failed?: (error: EpochcastError) => void) =>
    step({ kind: 'call', call: run, ...(failed && { failed }) })
  const hear = (message: Message, token = 0) =>
    step({
      kind: 'frame',
      from: at,
      frame: { envelope: { cluster, from: server, token }, message, bytes: Buffer.of() },
    })
  hear({ kind: 'identity', member: { name: server, address: at }, cluster: { id: cluster, arbiters: [] } })
  return { machine, step, call, hear, faults, pass: passTime(machine) }
}

const boom = () => {
  throw new TypeError('boom')
}

describe('a throw in a turn', () => {
  it('ends the call that threw, and takes back what it wanted sent', () => {
    const { call, faults } = machineOf()
    let told: EpochcastError | undefined
    const out = call(
      (into) => {
        into.push({ kind: 'send', to: [at], token: 0, message: { kind: 'introduce' } })
        boom()
      },
      (error) => (told = error),
    )
    expect(out).toEqual([])
    expect(told).toMatchObject({ code: 'EC_INTERNAL', cause: new TypeError('boom') })
    expect(faults).toHaveLength(1)
    expect(call((into) => into.push({ kind: 'settle', target: { settle: () => {} } }))).toHaveLength(1)
  })

  it('ends the question whose answer is not taken, and asks the others again', () => {
    const { machine, call, hear, pass } = machineOf()
    const told: string[] = []
    const ask = (name: string, answer: () => boolean) => {
      const failed = () => told.push(`${name} failed`)
      call((out) => machine.requests.ask({ message: { kind: 'list-servers' }, to: () => [at], answer, failed }, out))
    }
    ask('one', boom)
    ask('two', () => told.push('two answered') > 0)
    const [first] = [machine.requests.nextToken() - 2]
    hear(nothing, first)
    hear(nothing, first + 1)
    expect(told).toEqual(['one failed', 'two answered'])
    expect(pass(100)).toEqual([])
  })

  it('keeps no news of a topic from those that follow it too', () => {
    const { machine, call, faults } = machineOf()
    const told: string[] = []
    const follower = machine.follower(topic)
    const follow = (name: string, begun: () => void) =>
      call((out) => follower.add({ begun, moved: () => {}, failed: () => told.push(`${name} failed`) }, out))
    follow('one', boom)
    follow('two', () => told.push('two begun'))
    call((out) => follower.heard(configuration, out))
    expect(told).toEqual(['one failed', 'two begun'])
    expect(faults).toHaveLength(1)
  })

  it('ends the reader that threw at a ring, a report or a peer, and no other', () => {
    const { machine, call, step, hear, pass } = machineOf()
    const told: string[] = []
    const readerOf = (token: number, throwsAt: string) => {
      const part = (name: string) => () => (name === throwsAt ? boom() : told.push(`${token} ${name}`))
      const parts = { report: part('report'), peer: part('peer'), begun: part('begun') }
      const rest = {
        batch: () => {},
        pulled: () => {},
        listensTo: () => [],
        refused: () => {},
        opened: () => {},
        moved: () => {},
      }
      const reader = { token, topic, close: () => {}, failed: () => told.push(`${token} failed`), ...rest, ...parts }
      machine.follower(topic).timersOf(reader).timer('report', topic, part('ring')).set(1)
      return reader as never
    }
    for (const [token, throwsAt] of ['ring', 'report', 'peer', 'nowhere'].entries()) {
      call((out) => machine.addSubscription(readerOf(token + 1, throwsAt), topic, out))
    }
    pass(1)
    hear({ kind: 'report', topic, epoch: epoch(1), stored: new Map(), whole: true })
    step({ kind: 'peer', address: at, up: true })
    expect(told.filter((line) => line.endsWith('failed'))).toEqual(['1 failed', '2 failed', '3 failed'])
    expect(told.slice(-1)).toEqual(['4 peer'])
    expect(machine.subscriptions()).toHaveLength(1)
  })
})

describe('a message that cannot be written', () => {
  it('ends what it was sent for, and the next one leaves as it is', () => {
    const { machine, pass } = machineOf()
    const sent: number[] = []
    const failed: string[] = []
    let turn = () => {}
    const loop = new Loop<(out: Effect[]) => void>({
      machine,
      name: 'client',
      cluster: () => cluster,
      onFatal: (error) => failed.push(`fatal ${error}`),
      onUnsent: (message, token, error) => loop.call((out) => machine.unsent(message, token, error, out)),
      timers: { soon: (run) => (turn = run), after: () => () => {}, nowMs: () => 0 },
    })
    loop.start({
      address: address('client:x'),
      send: (_to, parts) => sent.push(parts.length),
      framesLost: 0,
      close: async () => {},
    })
    const message = { kind: 'list-topics', after: 5 } as never
    const question = {
      message,
      to: () => [at],
      answer: () => true,
      failed: ({ code }: EpochcastError) => failed.push(code),
    }
    loop.call((out) => machine.requests.ask(question, out))
    loop.call((out) => machine.requests.ask({ ...question, message: { kind: 'list-servers' } }, out))
    turn()
    turn()
    expect(failed).toEqual(['EC_BAD_MESSAGE'])
    expect(sent).toHaveLength(1)
    expect(loop.framesUnsent).toBe(1)
    expect(pass(1)).toEqual([])
  })

  it('ends a publisher with what it had under way; whoever publishes next is another one', () => {
    const { machine, call } = machineOf()
    const told: (string | undefined)[] = []
    const publisher = machine.createPublisher(topic)
    call((out) => machine.follower(topic).heard(configuration, out))
    call((out) => machine.follower(topic).add(publisher, out))
    const wait = () =>
      new One(
        () => {},
        ({ code }) => told.push(code),
        false,
      )
    publisher.publish(Buffer.from('sent'), wait())
    machine.step({ kind: 'turn' }, [])
    const other = publisherId('00ff00ff00ff00ff')
    const batch = { kind: 'batch', topic, epoch: epoch(1), publisher: other } as never
    const error = { code: 'EC_BAD_MESSAGE', message: 'x' } as EpochcastError
    call((out) => machine.unsent(batch, 0, error, out))
    expect(told).toEqual([])
    call((out) => machine.unsent({ ...(batch as object), publisher: publisher.id } as never, 0, error, out))
    expect(told).toEqual(['EC_OUTCOME_UNKNOWN'])
    expect(publisher.isClosed).toBe(true)
    expect(machine.publishers()).toEqual([])
  })
})
