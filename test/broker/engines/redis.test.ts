// Goal: a Redis that may forget decisions is refused by name, also when it becomes one while it runs. Method: what servers say of
// themselves, judged; the adapter on ioredis-mock; and a real redis-server with each setting that makes it unfit.
import { Redis } from 'ioredis'
import RedisMock from 'ioredis-mock'
import { afterEach, describe, expect, it } from 'vitest'
import { RedisServer } from '../../../bench/peers/redis-server.ts'
import type { EngineClient } from '../../../broker/engines/client.ts'
import { type RedisConnection, RedisEngine } from '../../../broker/engines/redis.ts'
import { judgeRedis, parseConfigAnswer, parseInfo } from '../../../broker/engines/redis-trust.ts'
import { clusterId, epoch, topicName } from '../../../proto/ids.ts'
import { describeRedis } from '../../peers/redis-server.ts'
import { until } from '../../until.ts'

const register = {
  cluster: clusterId('11111111-2222-4333-8444-555555555555'),
  topic: topicName('orders.eu'),
  epoch: epoch(3),
}
const goodInfo = 'redis_version:7.0.15\r\nredis_mode:standalone\r\nrole:master\r\nconnected_slaves:0\r\n'
const goodConfig = {
  appendonly: 'yes',
  appendfsync: 'always',
  'no-appendfsync-on-rewrite': 'no',
  maxmemory: '0',
  'maxmemory-policy': 'noeviction',
}

function judge(info: string, config: object | null, force = false): string[] {
  const map = config === null ? null : parseConfigAnswer(Object.entries(config).flat())
  return judgeRedis(parseInfo(info), map, force).map(({ verdict, text }) => `${verdict} ${text}`)
}

describe('what a Redis says of itself', () => {
  it('passes where every decision is on the disk of one server', () => {
    const [first, ...rest] = judge(goodInfo, goodConfig)
    expect(first).toMatch(/^ok redis 7\.0\.15, alone; every decision is on its disk/)
    expect(rest).toEqual([])
  })

  it.each([
    ['appendonly', 'no', 'a restart forgets decisions'],
    ['appendfsync', 'everysec', 'a crash of the machine'],
    ['no-appendfsync-on-rewrite', 'yes', 'while it rewrites its file'],
    ['maxmemory-policy', 'allkeys-lru', 'throws decisions away'],
  ])('fails with %s %s', (setting, value, why) => {
    const found = judge(goodInfo, { ...goodConfig, [setting]: value })
    expect(found).toHaveLength(1)
    expect(found[0]).toMatch(new RegExp(`^fail .*${setting} is ${value}.*${why}`))
    const forced = judge(goodInfo, { ...goodConfig, [setting]: value }, true)
    expect(forced.join('\n')).toMatch(new RegExp(`warn .*${setting} is ${value}.*force`))
    expect(forced.join('\n')).not.toMatch(/^fail/m)
  })

  it.each([
    [goodInfo.replace('role:master', 'role:slave'), 'it is a replica'],
    [goodInfo.replace('connected_slaves:0', 'connected_slaves:1'), 'if one is promoted'],
    [goodInfo.replace('standalone', 'cluster'), 'it runs as cluster'],
    [goodInfo.replace('standalone', 'sentinel'), 'it runs as sentinel'],
    ['', 'does not know SET NX GET'],
  ])('fails with another role: %#', (info, why) => {
    expect(judge(info, goodConfig).join('\n')).toMatch(new RegExp(`^fail .*${why}`, 'm'))
  })

  it('fails where it does not tell its settings, and no force helps an old one', () => {
    expect(judge(goodInfo, null).join()).toMatch(/^fail it does not tell its settings/)
    expect(judge(goodInfo.replace('7.0.15', '6.2.0'), goodConfig, true).join()).toMatch(/fail redis 6\.2\.0/)
  })
})

describe('RedisEngine on ioredis-mock', () => {
  function engineOn(info: string, options: { force?: boolean } = {}) {
    const redis = new RedisMock() as unknown as Redis
    const told = {
      status: 'ready',
      info: async () => info,
      config: async (_: string, key: keyof typeof goodConfig) => [key, goodConfig[key]],
    }
    Object.assign(redis, told)
    return { redis, engine: new RedisEngine(redis as RedisConnection, { id: 'main', url: '', ...options }) }
  }

  afterEach(async () => {
    await new RedisMock().flushall()
  })

  it('keeps the first value of a register, also when the same is proposed again', async () => {
    const { engine } = engineOn(goodInfo)
    const { instance } = await engine.check()
    expect(await engine.read(register, instance)).toBeNull()
    const told = await Promise.all(
      ['a', 'b', 'a', 'c'].map((text) => engine.propose(register, Buffer.from(text), instance)),
    )
    expect(told.map((value) => Buffer.from(value).toString())).toEqual(['a', 'a', 'a', 'a'])
    expect((await engine.read(register, instance))?.toString()).toBe('a')
    const other = { ...register, topic: topicName('orders') }
    expect(Buffer.from(await engine.propose(other, Buffer.from('b'), instance)).toString()).toBe('b')
  })

  it('writes nothing to a server that may forget, unless it is forced', async () => {
    const { engine, redis } = engineOn(goodInfo.replace('connected_slaves:0', 'connected_slaves:2'))
    const report = await engine.check()
    expect(report.findings.map(({ verdict }) => verdict)).toContain('fail')
    await expect(engine.propose(register, Buffer.from('a'), report.instance)).rejects.toThrow('2 replica')
    expect(await redis.keys('*')).toEqual([])
    const { engine: forced } = engineOn(goodInfo.replace('connected_slaves:0', 'connected_slaves:2'), { force: true })
    const { instance } = await forced.check()
    expect(Buffer.from(await forced.propose(register, Buffer.from('a'), instance)).toString()).toBe('a')
  })

  it('is another instance when its keys are gone, and refuses a value that is too large', async () => {
    const { engine, redis } = engineOn(goodInfo)
    const { instance } = await engine.check()
    await engine.propose(register, Buffer.from('a'), instance)
    await redis.flushall()
    await expect(engine.propose(register, Buffer.from('b'), instance)).rejects.toThrow('its keys are gone')
    const again = await engine.check()
    expect(again.instance).not.toBe(instance)
    await expect(engine.propose(register, Buffer.from('b'), instance)).rejects.toThrow('its registers were lost')
    await expect(engine.propose(register, Buffer.alloc(1024 * 1024 + 1), again.instance)).rejects.toThrow('at most')
  })
})

describeRedis('RedisEngine on a real server', () => {
  const open: (RedisServer | EngineClient)[] = []

  afterEach(async () => {
    for (const one of open.splice(0)) await one.close()
  })

  async function start(settings: Record<string, string> = {}) {
    const server = await RedisServer.start({ settings })
    const engine = await RedisEngine.open({ id: 'main', url: server.url })
    open.push(engine, server)
    await until(
      () =>
        engine.check().then(
          () => true,
          () => false,
        ),
      'the engine answers',
    )
    return { server, engine }
  }

  it('finds what the server really is', async () => {
    const { engine } = await start()
    expect((await engine.check()).findings.map(({ verdict }) => verdict)).toEqual(['ok'])
    const { engine: lazy } = await start({ appendfsync: 'everysec' })
    const { findings } = await lazy.check()
    expect(findings).toMatchObject([{ verdict: 'fail', text: expect.stringContaining('appendfsync is everysec') }])
  })

  it('looks again after a restart, and when a replica comes', async () => {
    const { server, engine } = await start()
    const { instance } = await engine.check()
    await engine.propose(register, Buffer.from('a'), instance)
    const replica = await RedisServer.start({ settings: { replicaof: `127.0.0.1 ${server.port}` } })
    open.push(replica)
    const isFit = async () => !(await engine.check()).findings.some(({ verdict }) => verdict === 'fail')
    await until(async () => !(await isFit()), 'the replica is found')
    await expect(engine.propose(register, Buffer.from('b'), instance)).rejects.toThrow('replica')
    await replica.close()
    await until(isFit, 'the replica is gone')
    await server.restart()
    const held = () => engine.propose(register, Buffer.from('b'), instance).catch(() => null)
    await until(async () => (await held()) !== null, 'it answers again')
    expect((await held())?.toString()).toBe('a')
    // Settings that change while it runs are found by the next look.
    const admin = new Redis(server.url)
    await admin.config('SET', 'appendfsync', 'no')
    admin.disconnect()
    expect(await isFit()).toBe(false)
  })
})
