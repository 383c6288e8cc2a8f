// Goal: every decision engine keeps one value for each register, for ever, whatever happens to who asks it and to itself. Method: the
// machines that propose in production, several of them as if on several servers, on the real engine; every answer that anybody ever
// gets is compared with every other.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Decision, Member } from '../../../proto/configuration.ts'
import {
  address,
  type Epoch,
  epoch,
  type PublisherId,
  serverId,
  serverName,
  type TopicName,
  topicName,
} from '../../../proto/ids.ts'
import type { MessageSet } from '../../../proto/message-set.ts'

/** One server that proposes. */
export interface Proposer {
  /** Resolves with what the register holds. */
  propose(topic: TopicName, epoch: Epoch, decision: Decision): Promise<Decision>
  /** Loses so many of a hundred calls, and as many answers. */
  lose(percent: number): void
  stop(): Promise<void>
}

export interface EngineUnderTest {
  proposer(at: number): Promise<Proposer>
  /** Ends it, or the part of it that leads, as a power cut ends a process; decisions are still made if `survives`. */
  crash(): Promise<void>
  /** Brings back what was ended, on its disk. */
  recover(): Promise<void>
  readonly survives: boolean
  /** It, or the part of it that leads, does nothing for a while, and nobody is told. */
  freeze(): Promise<void>
  thaw(): Promise<void>
  close(): Promise<void>
}

const serverCount = 4
/** What fits with its headers where 1 MiB is the limit of a frame. */
const largeBytes = 1024 * 1024 - 1024
const entryBytes = 30

export function describeEngine(name: string, make: () => Promise<EngineUnderTest>): void {
  describe(`decision engine ${name}`, () => {
    let engine: EngineUnderTest
    let proposers: Proposer[] = []
    const told = new Map<string, Map<string, number>>()
    let topics = 0

    beforeAll(async () => {
      engine = await make()
      proposers = await Promise.all(Array.from({ length: serverCount }, (_, at) => engine.proposer(at)))
    })

    afterAll(async () => {
      for (const proposer of proposers) await proposer.stop()
      await engine?.close()
    })

    function newTopic(): TopicName {
      topics++
      return topicName(`orders.eu${topics}.x`)
    }

    async function propose(of: TopicName, at: number, change: string, by: number, entries = 0): Promise<string> {
      const proposer = proposers[by % serverCount]
      if (proposer === undefined) throw new Error('no proposer')
      const decided = await proposer.propose(of, epoch(at), decisionOf(of, at, change, entries))
      const key = `${of} ${at}`
      const values = told.get(key) ?? new Map<string, number>()
      told.set(key, values.set(decided.changeId, (values.get(decided.changeId) ?? 0) + 1))
      expect(decided.closing.size).toBe(decided.changeId.startsWith('large') ? largeEntries : 0)
      return decided.changeId
    }

    function expectOneValueEach(): void {
      for (const [key, values] of told)
        expect([key, values.size, [...values.keys()]]).toEqual([key, 1, expect.anything()])
    }

    /** Everybody asks again with values of their own: what was decided stands. */
    async function expectAllStand(): Promise<void> {
      for (const [key, values] of [...told]) {
        const [of = '', at = ''] = key.split(' ')
        const [known] = values.keys()
        const answers = await Promise.all(
          proposers.map((_, by) => propose(of as TopicName, Number(at), `later-${by}`, by)),
        )
        expect(new Set(answers)).toEqual(new Set([known]))
      }
    }

    it('takes one of 200 proposals that come at once, and tells everybody that one', async () => {
      const of = newTopic()
      const answers = await Promise.all(Array.from({ length: 200 }, (_, at) => propose(of, 1, `c-${at}`, at)))
      expect(new Set(answers).size).toBe(1)
      expect(answers[0]).toMatch(/^c-\d+$/)
    })

    it('keeps registers apart: epochs, and topics whose names begin alike', async () => {
      const [one, other] = [topicName('orders'), topicName('orders.1')]
      const keys = [1, 2, 11].flatMap((at) => [one, other].map((of) => [of, at] as const))
      for (const [of, at] of keys) expect(await propose(of, at, `${of}-${at}`, at)).toBe(`${of}-${at}`)
      await expectAllStand()
    })

    it('gives the same answer to the same proposal, however often it comes', async () => {
      const of = newTopic()
      const first = await propose(of, 5, 'mine', 0)
      const again = await Promise.all(Array.from({ length: 30 }, (_, at) => propose(of, 5, 'mine', at % 2)))
      expect(new Set([first, ...again])).toEqual(new Set(['mine']))
      expect(await propose(of, 5, 'other', 3)).toBe('mine')
    })

    it('has one value where calls and answers are lost', async () => {
      for (const proposer of proposers) proposer.lose(40)
      const of = newTopic()
      const tries = [1, 2, 3, 4].flatMap((at) => proposers.map((_, by) => propose(of, at, `lossy-${by}`, by)))
      await Promise.all(tries)
      for (const proposer of proposers) proposer.lose(0)
      expectOneValueEach()
    })

    it('keeps a value of nearly 1 MiB', async () => {
      const of = newTopic()
      const answers = await Promise.all([0, 1].map((by) => propose(of, 1, `large-${by}`, by, largeEntries)))
      expect(new Set(answers).size).toBe(1)
      expect(await propose(of, 1, 'later', 2)).toBe(answers[0])
    })

    it('forgets nothing when it is killed in the middle, again and again', async () => {
      const of = newTopic()
      for (let at = 1; at <= (engine.survives ? 1 : 2); at++) {
        const before = proposers.map((_, by) => propose(of, 10 * at, `before-${by}`, by))
        await engine.crash()
        const during = proposers.map((_, by) => propose(of, 10 * at + 1, `during-${by}`, by))
        if (engine.survives) await Promise.all([...before, ...during])
        await engine.recover()
        await Promise.all([...before, ...during])
        expectOneValueEach()
      }
      await expectAllStand()
    })

    it('has one value where it stands still for a while', async () => {
      const of = newTopic()
      const before = proposers.map((_, by) => propose(of, 1, `before-${by}`, by))
      await engine.freeze()
      const during = proposers.map((_, by) => propose(of, 2, `during-${by}`, by))
      if (engine.survives) await Promise.all(during)
      // Longer than a try, so that everybody has asked again by then.
      else await new Promise((resolve) => setTimeout(resolve, 2_500))
      await engine.thaw()
      await Promise.all([...before, ...during])
      expectOneValueEach()
      await expectAllStand()
    })
  })
}

const largeEntries = Math.floor(largeBytes / entryBytes)

export function memberOf(id: string): Member {
  const storage = `00000000-0000-4000-8000-${id.charCodeAt(0).toString(16).padStart(12, '0')}`
  return { name: serverName(serverId(id), storage), address: address(`${id}:1`) }
}

function decisionOf(topic: TopicName, of: number, changeId: string, entries: number): Decision {
  const closing: MessageSet = new Map(
    Array.from({ length: entries }, (_, at) => [
      at.toString(16).padStart(16, '0') as PublisherId,
      { end: 2 ** 34 + at, digest: 2 ** 51 + at },
    ]),
  )
  const next = { topic, epoch: epoch(of + 1), service: 'multicast', mode: 'fault-recovery', decider: 'engine' } as const
  const members = ['a', 'b'].map(memberOf)
  return {
    changeId,
    next: { ...next, members, membersMin: 1, order: 'fifo', floor: epoch(1), base: 0 },
    closing,
  }
}
