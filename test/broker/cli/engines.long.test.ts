// Goal: a cluster whose epochs are ended by Redis and by JetStream, from one configuration file: it is made so, says how that is, waits
// while the engine is down, and moves from one to the other. Method: the real command, a real redis-server and a real nats-server.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { redisServerVersion } from '../../../bench/peers/redis-server.ts'
import { describeNats, NatsServers } from '../../peers/nats-server.ts'
import { describeRedis, RedisServer } from '../../peers/redis-server.ts'
import { buildCli, type Ended, freePorts, jsonLines, type Running, TestFolder, until } from './harness.ts'

const ids = ['a', 'b', 'c']

// Where Redis is missing, that is what is said; where only NATS is missing, its own suite says so.
const describeBoth = redisServerVersion() === null ? describeRedis : describeNats

describeBoth('a cluster with engines of its own', () => {
  let place: TestFolder
  let redis: RedisServer
  let nats: NatsServers
  let url: string
  const servers = new Map<string, Running>()
  const epochcast = (...args: string[]) => place.run(args, { url })

  function config(port: number, engines: string): string {
    const server = (id: string, at: number) => `    ${id}: { listen: 127.0.0.1:${port + at}, data: ./data/${id} }`
    return `cluster:\n  engine: ledger\n  servers:\n${ids.map(server).join('\n')}\n${engines}`
  }

  beforeAll(async () => {
    const [main, port] = [await buildCli(), await freePorts(3)]
    ;[redis, nats] = await Promise.all([RedisServer.start(), NatsServers.start()])
    place = new TestFolder(main)
    url = `epochcast://${ids.map((_, at) => `127.0.0.1:${port + at}`).join(',')}`
    const ledger = `  ledger: { type: redis, url: ${redis.url} }`
    const stream = `  stream: { type: jetstream, servers: [${nats.addresses.join(', ')}] }`
    place.write('cluster.yaml', config(port, `engines:\n${ledger}\n${stream}\n`))
    place.write('without.yaml', config(port, 'engines:\n  ledger: { type: redis, url: redis://127.0.0.1:1 }\n'))
    for (const id of ids) {
      servers.set(id, place.start(['serve', '--id', id, '--config', 'cluster.yaml', '--no-replace', '--json']))
      await servers.get(id)?.shows('}\n')
    }
  })

  afterAll(async () => {
    await place?.close()
    await Promise.all([redis?.close(), nats?.close()])
  })

  /** The findings of `doctor`, as `verdict about: text`. */
  const findings = ({ stdout }: Ended) =>
    jsonLines(stdout).map(({ verdict, about, text }) => `${String(verdict)} ${String(about)}: ${String(text)}`)

  it('is made with the engine that answers, and says how it is', async () => {
    const made = await epochcast('bootstrap', '--config', 'cluster.yaml', '--json')
    expect(jsonLines(made.stdout)[0]).toMatchObject({ created: true, decider: 'engine:ledger' })
    const created = await epochcast('topics', 'create', 'orders', '--mode', 'fault-recovery', '--members', 'a,b')
    expect(jsonLines(created.stdout)[0]).toMatchObject({ epoch: 1, decider: 'engine:ledger' })
    const looked = await epochcast('doctor', '--config', 'cluster.yaml')
    expect([looked.code, findings(looked).filter((line) => line.startsWith('fail'))]).toEqual([0, []])
    expect(findings(looked).join('\n')).toMatch(/ok engine ledger \(redis\): redis \d.*every decision is on its disk/)
    expect(findings(looked).join('\n')).toMatch(
      /warn engine stream \(jetstream\): .*power failure of its machine may undo/,
    )
    expect(findings(looked).join('\n')).toMatch(/ok engine ledger \(redis\): .* \(a, b, c\)/)
    const status = await epochcast('status', 'orders')
    expect(jsonLines(status.stdout)[0]).toMatchObject({
      deciding: { engine: 'ledger', ready: ['a', 'b'], without: [] },
    })
  })

  it('publishes while the engine is down, and a change waits for it', async () => {
    await redis.kill()
    const change = place.start(['reconfig', 'orders', '--members', 'b,c', '--yes', '--json'], { url })
    await change.shows('waits for engine ledger, which decides how epoch 1 ends')
    const published = await epochcast('pub', 'orders', 'one', 'two', '--json')
    expect(published.code).toBe(0)
    expect(jsonLines(published.stdout)).toMatchObject([{ status: 'durable' }, { status: 'durable' }])
    const looked = await epochcast('doctor')
    expect(looked.code).toBe(1)
    expect(findings(looked).join('\n')).toMatch(/fail engine ledger \(redis\): .*ECONNREFUSED/)
    await redis.restart()
    const { code, stdout } = await change.ended
    expect([code, jsonLines(stdout).at(-1)]).toMatchObject([0, { type: 'done', epoch: 2, members: ['b', 'c'] }])
    expect((await epochcast('get', 'orders')).stdout).toBe('one\ntwo\n')
  })

  it('moves to another engine by a decision of the first', async () => {
    const moved = await epochcast('reconfig', 'orders', '--decider', 'engine:stream', '--yes', '--json')
    expect(jsonLines(moved.stdout).at(-1)).toMatchObject({ type: 'done', epoch: 3, decider: 'engine:stream' })
    await redis.kill()
    const kept = await epochcast('reconfig', 'orders', '--members', 'a,c', '--yes', '--json')
    expect(jsonLines(kept.stdout).at(-1)).toMatchObject({ type: 'done', epoch: 4, decider: 'engine:stream' })
    await redis.restart()
    const unknown = await epochcast('reconfig', 'orders', '--decider', 'engine:nobody', '--yes', '--json')
    expect(unknown.code).toBe(3)
    expect(jsonLines(unknown.stderr).at(-1)).toMatchObject({ code: 'EC_NO_DECIDER' })
    expect(unknown.stderr).toContain('has no engine nobody')
    const words = await epochcast('reconfig', 'orders', '--decider', 'stake')
    expect([words.code, words.stderr]).toEqual([2, expect.stringContaining('did you mean stakes')])
  })

  it('leaves changes to those who have the engine', async () => {
    await servers.get('c')?.stop()
    servers.set('c', place.start(['serve', '--id', 'c', '--config', 'without.yaml', '--no-replace', '--json']))
    await servers.get('c')?.shows('}\n')
    const look = async () => findings(await epochcast('doctor')).join('\n')
    await until(async () => /c does not have engine stream, which decides here/.test(await look()), 'the warning')
    const status = await epochcast('status', 'orders')
    expect(jsonLines(status.stdout)[0]).toMatchObject({ deciding: { ready: ['a'], without: ['c'] } })
    const done = await epochcast('reconfig', 'orders', '--yes', '--json')
    expect(jsonLines(done.stdout).at(-1)).toMatchObject({ type: 'done', epoch: 5 })
  })
})

describeRedis('a Redis that may forget', () => {
  let place: TestFolder
  let redis: RedisServer

  beforeAll(async () => {
    place = new TestFolder(await buildCli())
    redis = await RedisServer.start({ settings: { appendfsync: 'everysec' } })
  })

  afterAll(async () => {
    await place?.close()
    await redis?.close()
  })

  it('fails in doctor with what to do, and is a warning where it is forced', async () => {
    const file = (more: string) => `engines:\n  main: { type: redis, url: ${redis.url}${more} }\n`
    place.write('lazy.yaml', file(''))
    place.write('forced.yaml', file(', force: true'))
    const lazy = await place.run([
      'doctor',
      '--config',
      'lazy.yaml',
      '--json',
      '--timeout',
      '2s',
      '--url',
      'epochcast://127.0.0.1:1',
    ])
    expect(lazy.code).toBe(1)
    expect(jsonLines(lazy.stdout)[0]).toMatchObject({
      type: 'finding',
      verdict: 'fail',
      about: 'engine main (redis)',
      text: expect.stringContaining('appendfsync is everysec: a crash of the machine forgets decisions'),
      hint: 'say appendfsync always in its configuration file, and restart it',
    })
    const forced = await place.run([
      'doctor',
      '--config',
      'forced.yaml',
      '--json',
      '--timeout',
      '2s',
      '--url',
      'epochcast://127.0.0.1:1',
    ])
    const told = jsonLines(forced.stdout).filter(({ about }) => about === 'engine main (redis)')
    expect(told.map(({ verdict }) => verdict)).toEqual(['ok', 'warn'])
  })
})

describe('a configuration file with engines', () => {
  let place: TestFolder

  beforeAll(async () => {
    place = new TestFolder(await buildCli())
  })

  afterAll(() => place.close())

  it('is checked before anything is asked', async () => {
    place.write(
      'bad.yaml',
      'engines:\n  main: { type: redis, url: http://x, replicas: 3 }\ntopics:\n  t: { decider: engine:mian }\n',
    )
    const { code, stderr } = await place.run(['doctor', '--config', 'bad.yaml'])
    expect(code).toBe(2)
    expect(stderr).toContain('bad.yaml:2:49: engines.main.replicas: is not about redis; there are type, url')
    expect(stderr).toContain('bad.yaml:2:29: engines.main.url: this is no redis:// url')
    expect(stderr).toContain('bad.yaml:4:17: topics.t.decider: no engine is called mian; did you mean main?')
  })
})
