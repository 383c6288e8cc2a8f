// Goal: `verify` and `explain` say what is, to people and to scripts. Method: the real command on a cluster made by `dev`; and a
// cluster in this process to which somebody sends different bytes under one id.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { verifyTopic } from '../../../broker/cli/verification.ts'
import { batchOf, bodyOf, createFilteredCluster } from '../../regressions/filtered-cluster.ts'
import { until } from '../../until.ts'
import { buildCli, freePorts, jsonLines, TestFolder } from './harness.ts'

let place: TestFolder
let url: string

const epochcast = (...args: string[]) => place.run(args, { url })
const explain = async (...args: string[]) => {
  const ended = await epochcast('explain', ...args, '--json')
  return { ...ended, found: jsonLines(ended.stdout)[0] ?? {} }
}

beforeAll(async () => {
  place = new TestFolder(await buildCli())
  const port = await freePorts(3)
  await place.start(['dev', '--port', String(port), '--json']).shows('}\n')
  url = `epochcast://127.0.0.1:${port}`
})

afterAll(() => place.close())

describe('verify and explain', () => {
  it('find that servers agree, and where a message is', async () => {
    const first = (await epochcast('pub', 'v', 'one', 'two', 'three')).stdout.split(' ')[0] ?? ''
    await epochcast('reconfig', 'v', '--mode', 'fault-recovery', '--members', 'a,b', '--yes')
    const second = (await epochcast('pub', 'v', 'four')).stdout.split(' ')[0] ?? ''

    const quick = await epochcast('verify', 'v', '--json')
    expect(quick.code).toBe(0)
    expect(jsonLines(quick.stdout)[0]).toMatchObject({
      ok: true,
      epoch: 2,
      mode: 'fault-recovery',
      silent: [],
      read: null,
      differences: [],
      servers: [
        { server: 'a', phase: 'open', stored: 1, behind: 0 },
        { server: 'b', phase: 'open', stored: 1, behind: 0 },
      ],
    })
    const deep = await epochcast('verify', 'v', '--deep', '--json')
    expect(deep.code).toBe(0)
    const [found] = jsonLines(deep.stdout)
    expect(found).toMatchObject({ ok: true, read: 8 })
    const ended = ((found?.epochs ?? []) as Record<string, unknown>[]).find((one) => one.epoch === 1)
    expect(ended).toMatchObject({ closingCount: 3, agreed: ['a', 'b'], complete: ['a', 'b'] })

    const included = await explain(first)
    expect(included.code).toBe(0)
    expect(included.found).toMatchObject({ topic: 'v', epoch: 1, outcome: 'included', bytes: 3 })
    expect(included.found.servers).toEqual(
      expect.arrayContaining([
        { server: 'a', member: 'then and now', holds: 'yes' },
        { server: 'b', member: 'then and now', holds: 'yes' },
      ]),
    )
    const durable = await explain(second, '--topic', 'v')
    expect(durable.found).toMatchObject({ outcome: 'durable', epoch: 2, ended: null, bytes: 4 })
  })

  it('say what is not', async () => {
    const id = (await epochcast('pub', 'w', 'one')).stdout.split(' ')[0] ?? ''
    const publisher = id.split('-')[1] ?? ''
    await epochcast('reconfig', 'w', '--mode', 'fault-masking', '--yes')
    const [dropped, nobody, future, noId, noTopic] = await Promise.all([
      explain(`1-${publisher}-7`),
      explain('1-0123456789abcdef-1'),
      explain(`9-${publisher}-1`, '--topic', 'w'),
      explain('not-an-id'),
      epochcast('verify', 'nowhere'),
    ])
    expect(dropped.code).toBe(0)
    expect(dropped.found).toMatchObject({ outcome: 'dropped', ended: { publisherEnd: 1 } })
    expect(dropped.found.why).toContain('It will never appear')
    expect(nobody.code).toBe(1)
    expect(nobody.stderr).toContain('nobody knows of 1-0123456789abcdef-1')
    expect(future).toMatchObject({ code: 1, found: { outcome: 'not-begun' } })
    expect(noId.code).toBe(2)
    expect(noId.stderr).toContain('is no message id')
    expect(noTopic.code).toBe(1)
    expect(noTopic.stderr).toContain('nowhere')
  })
})

describe('verifyTopic', () => {
  it('names the servers that hold different messages under one id', async () => {
    await using cluster = await createFilteredCluster()
    const client = await cluster.connect()
    const newest = await client.admin.createTopic('t', { mode: 'fault-masking', members: ['a', 'b', 'c'] })
    const publisher = '0011223344556677'
    const stranger = cluster.stranger()
    stranger.say(['a', 'b'], batchOf(publisher, 1, 1, bodyOf(1)))
    stranger.say(['c'], batchOf(publisher, 1, 1, Buffer.from([2, 0, 66])))
    await until(() => stranger.answers.filter(({ kind }) => kind === 'stored').length >= 3, 'three acknowledgements')
    const limits = { signal: new AbortController().signal }
    const found = await verifyTopic(client, newest, { limits, isDeep: true, progress: () => {} })
    expect(found.differences).toEqual([
      expect.objectContaining({ what: 'digest', epoch: 1, servers: expect.arrayContaining(['c']) }),
    ])
    // A difference is looked at twice.
    expect(found.read).toBe(6)

    await cluster.kill('b')
    const lame = await verifyTopic(client, newest, {
      limits: { ...limits, timeoutMs: 500 },
      isDeep: false,
      progress: () => {},
    })
    expect(lame.silent).toEqual(['b'])
  })
})
