// Goal: a server that does not answer costs one wait, however much is asked and in however many topics. Method: a client made by
// hand, one of whose members lets every question run out of time.
import { describe, expect, it } from 'vitest'
import { explainIn, mentions } from '../../../broker/cli/explanation.ts'
import { Witnesses } from '../../../broker/cli/witnesses.ts'
import type { Client, Configuration, Member } from '../../../client-sdk/index.ts'
import { address, epoch, parseMessageId, parseServerName, topicName } from '../../../proto/ids.ts'

const [a, b, c] = ['a', 'b', 'c'].map(
  (id): Member => ({
    name: parseServerName(`${id}@00000000-0000-4000-8000-000000000000`),
    address: address(`${id}:1`),
  }),
) as [Member, Member, Member]
const id = parseMessageId('1-00000000000000aa-1')
const configurationOf = (topic: string): Configuration => ({
  ...{ topic: topicName(topic), epoch: epoch(1), service: 'multicast', mode: 'fault-masking', decider: 'stakes' },
  ...{ members: [a, b, c], membersMin: 1, order: 'fifo', floor: epoch(1), base: 0 },
})
const timeoutMs = 30
const signal = new AbortController().signal

/** A cluster of which a is silent, and whose other servers hold the message in the topic `here`. @param asked questions to each */
function clusterOf(asked: Map<Member, number>, knows: (member: Member, topic: string) => boolean = () => true): Client {
  const answer = async <T>(member: Member, topic: string, value: T): Promise<T | null> => {
    asked.set(member, (asked.get(member) ?? 0) + 1)
    if (member === a) return new Promise((resolve) => setTimeout(resolve, timeoutMs, null))
    return knows(member, topic) ? value : null
  }
  const held = (topic: string) => new Map(topic === 'here' ? [[id.publisher, { end: 1, digest: 1 }]] : [])
  const inspection = {
    condition: (topic: string, of: number, member: Member) =>
      answer(member, topic, { phase: 'open', epoch: epoch(of), stored: held(topic) }),
    decisions: (topic: string, _from: number, member: Member) => answer(member, topic, []),
    message: (topic: string, _id: unknown, member: Member) => answer(member, topic, { timeMs: 0, payload: null }),
  }
  return { admin: { inspection, topic: async (topic: string) => configurationOf(topic) } } as unknown as Client
}

describe('a silent server', () => {
  it('is waited for once while a message is looked for and explained', async () => {
    const asked = new Map<Member, number>()
    const client = clusterOf(asked)
    const witnesses = new Witnesses(client, () => ({ signal, timeoutMs }))
    for (const topic of ['x', 'y', 'z']) expect(await mentions(witnesses, configurationOf(topic), id)).toBe(false)
    const here = configurationOf('here')
    expect(await mentions(witnesses, here, id)).toBe(true)
    const found = await explainIn(client, here, id, witnesses, { signal })
    expect(found.outcome).toBe('durable')
    expect(found.servers.map(({ server, holds }) => `${server} ${holds}`)).toEqual(['a silent', 'b yes', 'c yes'])
    expect(asked.get(a)).toBe(1)
  })

  it('is none that says at once that it has nothing of a topic', async () => {
    const client = clusterOf(new Map(), (member, topic) => member !== b || topic !== 'x')
    const witnesses = new Witnesses(client, () => ({ signal, timeoutMs }))
    await mentions(witnesses, configurationOf('x'), id)
    const found = await explainIn(client, configurationOf('here'), id, witnesses, { signal })
    expect(found.servers.find(({ server }) => server === 'b')?.holds).toBe('yes')
  })
})
