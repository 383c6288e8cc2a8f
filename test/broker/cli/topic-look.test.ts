// Goal: a change that runs while a topic is looked at is not called a fault, and a fault is. Method: looks that find what they are
// told; then a topic in a cluster in this process whose epochs end all the time.
import { describe, expect, it } from 'vitest'
import { Context } from '../../../broker/cli/context.ts'
import { type Health, healthOf } from '../../../broker/cli/health.ts'
import { judge, judgeTopic, type TopicLook } from '../../../broker/cli/topic-look.ts'
import { createCluster } from '../../../broker/index.ts'
import type { Configuration, ReplicaInfo } from '../../../client-sdk/index.ts'
import { EpochcastError } from '../../../proto/errors.ts'

type Found = { epoch: number; state: Health['state']; silent?: string[]; staged?: number }

function lookOf({ epoch, state, silent = [], staged = 0 }: Found): TopicLook {
  const health = { state, silent, full: [], needed: [], toleratesNow: 1, staysOpenFor: 1, text: state }
  const replicas = [{ server: 'a', phase: state, epoch, stagedCount: staged }] as unknown as ReplicaInfo[]
  return { configuration: { epoch } as Configuration, replicas, servers: [], health }
}

/** Judges what the looks find one after the other; the last one stays. */
async function judged(...found: (Found | EpochcastError)[]) {
  let [looks, at, pausedMs] = [0, 0, 0]
  const next = () => found[Math.min(at++, found.length - 1)]
  const last = () => found[Math.min(at, found.length - 1)]
  const result = judge({
    look: async () => {
      looks++
      const one = next()
      if (one === undefined || one instanceof EpochcastError) throw one
      return lookOf(one)
    },
    newest: async () => ({ epoch: (last() as Found).epoch }) as Configuration,
    pause: async (milliseconds) => {
      pausedMs += milliseconds
    },
  })
  const { health, isMoving } = await result
  return { state: health.state, text: health.text, isMoving, looks, pausedMs }
}

const open = (epoch: number, silent: string[] = []): Found => ({ epoch, state: 'open', silent })

describe('a topic', () => {
  it('that is well is looked at once', async () => {
    expect(await judged(open(1))).toMatchObject({ state: 'open', isMoving: false, looks: 1 })
  })

  it('is looked at again where an epoch was being ended, or was another one at each question', async () => {
    for (const state of ['changing', 'starting', 'stopped', 'full'] as const) {
      expect(await judged({ epoch: 1, state }, open(2))).toMatchObject({ state: 'open', isMoving: false, looks: 2 })
    }
    // Silent in an epoch that ended meanwhile.
    expect(await judged(open(1, ['a']), open(2))).toMatchObject({ state: 'open', looks: 2 })
  })

  it('fails at once where members are silent and no epoch ended, and at the second look where it is stopped', async () => {
    expect(await judged(open(1, ['a']))).toMatchObject({ state: 'open', isMoving: false, looks: 1 })
    expect(await judged({ epoch: 1, state: 'stopped' })).toMatchObject({ state: 'stopped', isMoving: false, looks: 2 })
  })

  it('fails in a change only where nothing moves in all the time there is', async () => {
    expect(await judged({ epoch: 1, state: 'changing' })).toMatchObject({
      state: 'changing',
      isMoving: false,
      looks: 5,
    })
    const staging = [1, 2, 3, 4, 5, 6].map((staged): Found => ({ epoch: 2, state: 'starting', staged }))
    expect(await judged(...staging)).toMatchObject({ state: 'starting', text: 'starting', isMoving: true, looks: 5 })
    const racing = [1, 2, 3, 4, 5, 6].map((epoch): Found => ({ epoch, state: 'stopped' }))
    expect(await judged(...racing)).toMatchObject({ state: 'changing', isMoving: true, looks: 5 })
    expect((await judged(...racing)).text).toContain('nothing is known to be wrong')
  })

  it('that cannot be asked for a moment is asked again', async () => {
    const away = new EpochcastError('EC_UNAVAILABLE', 'ending')
    expect(await judged(away, open(1))).toMatchObject({ state: 'open', looks: 2 })
    await expect(judged(away)).rejects.toBe(away)
    const unknown = new EpochcastError('EC_UNKNOWN_TOPIC', 'none')
    await expect(judged(unknown)).rejects.toBe(unknown)
  })
})

it('is never said to fail by its changes alone', async () => {
  await using cluster = await createCluster({ servers: 6 })
  const client = await cluster.connect()
  await client.admin.createTopic('t', { mode: 'fault-masking', members: ['a', 'b', 'c'] })
  let [isOver, changes] = [false, 0]
  const changing = (async () => {
    while (!isOver) {
      const members = changes++ % 2 === 0 ? ['d', 'e', 'f'] : ['a', 'b', 'c']
      await client.admin.reconfigure('t', { members }).enabled
    }
  })()
  const other = await cluster.connect()
  const context = new Context({})
  const seen = { once: new Set<string>(), judged: new Set<string>() }
  for (let round = 0; round < 4; round++) {
    const configuration = await other.admin.topic('t')
    for (let look = 0; look < 5; look++) {
      seen.once.add(healthOf(configuration, await other.admin.replicas('t'), []).state)
    }
    const { health, isMoving } = await judgeTopic(context, other, 't')
    seen.judged.add(isMoving ? 'moving' : health.state)
  }
  isOver = true
  await changing
  expect(changes).toBeGreaterThan(10)
  // A single look would have said that it fails.
  expect([...seen.once].some((state) => state !== 'open')).toBe(true)
  for (const state of seen.judged) expect(['open', 'moving']).toContain(state)
}, 60_000)
