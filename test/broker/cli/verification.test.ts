// Goal: servers that are asked at different moments are not said to differ, and those that differ are. Method: a client made by
// hand, whose servers answer each look with what the test says.
import { describe, expect, it } from 'vitest'
import { verifyTopic } from '../../../broker/cli/verification.ts'
import type { Client, Configuration, Decision, Member, ServerCondition } from '../../../client-sdk/index.ts'
import { address, epoch, parseServerName, publisherId, topicName } from '../../../proto/ids.ts'

const members: Member[] = ['a', 'b', 'c'].map((id) => ({
  name: parseServerName(`${id}@00000000-0000-4000-8000-000000000000`),
  address: address(`${id}:1`),
}))
const configurationOf = (of: number): Configuration => ({
  topic: topicName('t'),
  epoch: epoch(of),
  service: 'multicast',
  mode: 'fault-masking',
  decider: 'stakes',
  members,
  membersMin: 1,
  order: 'fifo',
  floor: epoch(1),
  base: 0,
})
const decisionOf = (next: number): Decision => ({
  changeId: `change-${next}`,
  next: configurationOf(next),
  closing: new Map(),
})

/** What one server says when it is asked. */
interface Answer {
  readonly phase: string
  readonly epoch: number
  /** Of one publisher's only message. */
  readonly digest: number
  readonly decisions: readonly number[]
}

const open = (of: number, decisions: readonly number[], digest = 1): Answer => ({
  phase: 'open',
  epoch: of,
  digest,
  decisions,
})
const publisher = publisherId('00000000000000aa')

/** @param looks by look, what a, b and c say; the last one is repeated */
function clientOf(looks: readonly (readonly [Answer, Answer, Answer])[], newest: readonly number[]): Client {
  let look = 0
  const at = <T>(all: readonly T[]): T => all[Math.min(look, all.length - 1)] as T
  const answerOf = (member: Member): Answer => at(looks)[members.indexOf(member)] as Answer
  const inspection = {
    condition: async (_topic: string, _of: number, member: Member): Promise<ServerCondition> => {
      const { phase, epoch: of, digest } = answerOf(member)
      return { phase, epoch: epoch(of), stored: new Map([[publisher, { end: 1, digest }]]) }
    },
    decisions: async (_topic: string, _from: number, member: Member) => answerOf(member).decisions.map(decisionOf),
  }
  const topic = async () => {
    look++
    return configurationOf(at(newest))
  }
  return { admin: { inspection, topic } } as unknown as Client
}

const verify = (client: Client, of: number) =>
  verifyTopic(client, configurationOf(of), {
    limits: { signal: new AbortController().signal },
    isDeep: false,
    progress: () => {},
  })

describe('verification', () => {
  it('looks again where a change was under way', async () => {
    // An epoch ended between the question to a and the one to c: nobody who answered knows how epoch 2 ended.
    const midway = [open(2, [1]), open(2, [1]), open(4, [4])] as const
    const settled = [open(4, [1, 2, 3, 4]), open(4, [1, 2, 3, 4]), open(4, [1, 2, 3, 4])] as const
    const found = await verify(clientOf([midway, settled], [2, 4]), 2)
    expect(found).toMatchObject({ differences: [], unsettled: null, epoch: 4 })
  })

  it('says that it cannot tell where epochs end all the time', async () => {
    const midway = [open(2, [1]), { ...open(3, [1]), phase: 'wedged' }, open(4, [4])] as const
    const found = await verify(clientOf([midway], [2, 3, 4, 5, 6, 7]), 2)
    expect(found.differences).toEqual([])
    expect(found.unsettled).toContain('change faster')
  })

  it('says that servers differ where they still do', async () => {
    const differing = [open(2, [1, 2], 1), open(2, [1, 2], 1), open(2, [1, 2], 9)] as const
    const found = await verify(clientOf([differing], [2]), 2)
    expect(found.differences.map(({ what, servers }) => [what, servers])).toEqual([['digest', ['a', 'c']]])
    expect(found.unsettled).toBeNull()
  })
})
