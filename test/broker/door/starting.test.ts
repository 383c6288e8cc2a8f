// Goal: what makes no sense is refused at once, by each call that starts a server or makes a cluster, and nothing is started, made on
// disk or sent for it. Method: every option with wrong values; a folder and a dial that would show what was begun.
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { afterAll, describe, expect, it } from 'vitest'
import { bootstrap, Cluster, createCluster, launch, MemoryRegisters, Server } from '../../../broker/index.ts'
import { MemoryStore } from '../../../broker/log/memory-store.ts'

const folder = mkdtempSync(join(tmpdir(), 'epochcast-door-'))
const data = join(folder, 'a')
const any = (value: unknown) => value as never
const refused = { name: 'EpochcastError', code: 'EC_BAD_ARGUMENT' }

afterAll(() => rmSync(folder, { recursive: true }))

/** Options that are wrong whatever the call is: no plain object, or names that nobody knows. */
const noOptions = [null, 5, 'x', [], new Map(), () => 1, { servrs: 3 }, JSON.parse('{ "__proto__": 1 }')]

const badDefaults = [
  null,
  { autoCreate: true },
  { template: { members: [] } },
  { autoCreate: 'yes', template: { members: [] } },
  { autoCreate: true, template: { members: ['a b'] } },
  { autoCreate: true, template: { members: ['a', 'a'] } },
  { autoCreate: true, template: { members: [], mode: 'single', size: 2 } },
  { autoCreate: true, template: { members: [], mode: 'fault-masking', size: 4 } },
  { autoCreate: true, template: { members: [], mode: 'single', decider: 'stakes' } },
  { autoCreate: true, template: { members: [], mode: 'fault-maskin' } },
  { autoCreate: true, template: { members: [], size: 0 } },
  { autoCreate: true, template: { members: [], size: 2, membersMin: 3 } },
  { autoCreate: true, template: { members: [], decider: 'engine:nowhere' } },
  { autoCreate: true, template: { members: [] }, topics: { t: { members: [] } } },
  { autoCreate: true, template: { members: [] }, topics: new Map([['a b', { members: [] }]]) },
  { autoCreate: true, template: { members: [] }, topics: new Map([['a', { members: [], order: 'totl' }]]) },
]
const badLimits = [
  null,
  { planTick: 5 },
  { planTicks: 0 },
  { planTicks: '5' },
  { pullBytes: 1.5 },
  { publishersMax: -1 },
]

async function refuses(call: (options: never) => unknown, given: readonly unknown[]): Promise<void> {
  for (const options of given) {
    const told = await (async () => call(any(options)))().then(
      () => 'took it',
      (error) => error,
    )
    const isImpossible = (told as { code?: string }).code === 'EC_IMPOSSIBLE_MEMBERSHIP'
    const code = isImpossible && inspect(options).includes('template') ? 'EC_IMPOSSIBLE_MEMBERSHIP' : refused.code
    expect(told, inspect(options)).toMatchObject({ ...refused, code })
  }
}

describe('createCluster', () => {
  it('refuses what is no option, or not what it takes', async () => {
    await refuses(createCluster, [
      ...noOptions,
      ...[0, 27, 1.5, '3', null, Number.NaN, 3n].map((servers) => ({ servers })),
      ...badDefaults.map((defaults) => ({ defaults })),
      ...badLimits.map((limits) => ({ limits })),
      ...[null, [], { 'a b': new MemoryRegisters() }, { main: {} }, { main: null }].map((engines) => ({ engines })),
      ...['main', 5, null, 'toString'].map((founding) => ({ founding })),
    ])
    expect(() => new Cluster({ servers: 0 })).toThrow(expect.objectContaining(refused))
  })

  it('starts no second server under the id of one that runs, and takes one in the place of one that stopped', async () => {
    await using cluster = await createCluster({ servers: 3 })
    await refuses(
      (id) => cluster.addServer(id),
      ['a', 'b', '', 'a b', '-x', 'x'.repeat(33), null, undefined, 5, ['d'], { id: 'd' }],
    )
    await refuses((id) => cluster.kill(id), ['a b', null, 5, ['a']])
    await refuses((id) => cluster.restart(id), ['a b', null, 5, ['a']])
    for (const call of ['kill', 'restart'] as const) {
      await expect(cluster[call]('z')).rejects.toMatchObject({ code: 'EC_UNKNOWN_SERVER' })
    }
    const twice = await Promise.allSettled([cluster.addServer('d'), cluster.addServer('d')])
    expect(twice.map(({ status }) => status)).toEqual(['fulfilled', 'rejected'])
    expect(cluster.servers).toEqual(['a', 'b', 'c', 'd'])
    await cluster.kill('c')
    await cluster.addServer('c')
    await refuses((id) => cluster.addServer(id), ['c'])
  })

  it('gives its clients its own network, and says so to those that bring one', async () => {
    await using cluster = await createCluster({ servers: 1 })
    await refuses(
      (options) => cluster.connect(options),
      [null, [], 5, { transport: () => 1 }, { nats: { user: 'u' } }, { nats: {} }, { timeout: 1 }],
    )
  })
})

describe('launch', () => {
  const good = { id: 'a', data, host: '127.0.0.1', port: 7_999 }

  it('refuses what is no option, or not what it takes, and makes nothing on disk', async () => {
    await refuses(launch, [
      ...noOptions,
      undefined,
      {},
      { id: 'a' },
      { data },
      ...['', 'a b', null, 5, ['a']].map((id) => ({ ...good, id })),
      ...['', null, 5, 'a\0b'].map((dir) => ({ ...good, data: dir })),
      ...['lax', 'interval 5', 'interval', null, 5].map((sync) => ({ ...good, sync })),
      ...[5, ''].map((boot) => ({ ...good, boot })),
      ...[undefined, '', null, 5].map((host) => ({ ...good, host })),
      ...[undefined, 0, -1, 65_536, 1.5, '7999', null].map((port) => ({ ...good, port })),
      { ...good, host: '10.0.0.1' },
      { ...good, host: '0.0.0.0', insecure: true },
      ...['', 'elsewhere', 'a:0', 5, null].map((advertise) => ({ ...good, advertise })),
      ...['yes', 1, null].map((insecure) => ({ ...good, insecure })),
      ...[null, 'a:1', ['a'], [''], [5], ['nats/a']].map((seeds) => ({ ...good, seeds })),
      ...[0, 1.5, '3', null].map((servers) => ({ ...good, servers })),
      ...badDefaults.map((defaults) => ({ ...good, defaults })),
      ...badLimits.map((limits) => ({ ...good, limits })),
      ...[null, {}, [{}], [{ type: 'etcd', id: 'e' }], [{ type: 'redis', id: 'r' }]].map((engines) => ({
        ...good,
        engines,
      })),
      ...[
        { type: 'redis', id: 'r', url: 'http://x' },
        { type: 'redis', id: 'r', url: 'redis://127.0.0.1', stream: 'x' },
        { type: 'redis', id: 'r', url: 'redis://127.0.0.1', prefix: 'a b' },
        { type: 'redis', id: 'a b', url: 'redis://127.0.0.1' },
        { type: 'jetstream', id: 'j' },
        { type: 'jetstream', id: 'j', servers: ['127.0.0.1'], replicas: 9 },
        { type: 'jetstream', id: 'j', servers: ['127.0.0.1'], url: 'redis://127.0.0.1' },
      ].map((engine) => ({ ...good, engines: [engine] })),
      { ...good, engines: [1, 2].map(() => ({ type: 'redis', id: 'r', url: 'redis://127.0.0.1' })) },
      ...[null, 5, { recovry: 1 }, { recovery: -1 }, { masking: '1' }].map((replaceDeadAfterMs) => ({
        ...good,
        replaceDeadAfterMs,
      })),
      ...['onJoined', 'onFatal', 'onShortage'].map((name) => ({ ...good, [name]: 'x' })),
    ])
    expect(existsSync(data)).toBe(false)
  })

  it('listens on NATS or on TCP, and refuses what is about the other one', async () => {
    const nats = { servers: ['127.0.0.1:4222'] }
    await refuses(launch, [
      ...[null, {}, { servers: [] }, { servers: ['a b'] }, { servers: '127.0.0.1' }].map((one) => ({
        id: 'a',
        data,
        nats: one,
      })),
      ...[{ user: 'u', token: 't' }, { password: 'p' }, { prefix: 'a b' }, { tls: { cert: 'c' } }].map((more) => ({
        ...{ id: 'a', data, nats: { ...nats, ...more } },
      })),
      ...[{ host: '127.0.0.1' }, { port: 1 }, { advertise: 'a:1' }, { insecure: true }].map((more) => ({
        ...{ id: 'a', data, nats, ...more },
      })),
      { id: 'a', data, nats, seeds: ['127.0.0.1:1'] },
    ])
    expect(existsSync(data)).toBe(false)
  })
})

describe('bootstrap', () => {
  it('refuses what is no option, or not what it takes, and dials nobody', async () => {
    let dialled = 0
    const dial = () => {
      dialled++
      throw new Error('dialled')
    }
    const good = { servers: ['server-a:1'], dial }
    await refuses(bootstrap, [
      ...noOptions,
      undefined,
      {},
      { dial },
      { servers: good.servers },
      ...[null, [], 'server-a:1', [''], [5], ['a:1', 'a:1'], new Set(['a:1'])].map((servers) => ({ ...good, servers })),
      ...[null, 5, {}].map((one) => ({ ...good, dial: one })),
      ...[-1, '5', null, Number.NaN].map((timeoutMs) => ({ ...good, timeoutMs })),
      ...['stakes', 'engine:main', 'main', null, 5, ['engine']].map((decider) => ({ ...good, decider })),
    ])
    expect(dialled).toBe(0)
  })

  it('refuses what a dial gives that is no transport', async () => {
    for (const made of [null, 5, {}]) {
      const call = bootstrap({ servers: [any('server-a:1')], dial: any(() => made), timeoutMs: 1_000 })
      await expect(call).rejects.toMatchObject(refused)
    }
  })

  it('waits without an end where that is asked for', async () => {
    const transport = { address: 'client:x', send: () => {}, framesLost: 0, close: async () => {} }
    const call = bootstrap({
      servers: [any('server-a:1')],
      dial: any(() => transport),
      timeoutMs: Number.POSITIVE_INFINITY,
    })
    const first = await Promise.race([
      call.then(
        () => 'ended',
        () => 'ended',
      ),
      new Promise((resolve) => setTimeout(() => resolve('waits'), 50)),
    ])
    expect(first).toBe('waits')
  })
})

describe('Server.start', () => {
  it('refuses what is no option, or not what it takes, and does not listen', async () => {
    let listened = 0
    const listen = () => {
      listened++
      throw new Error('listened')
    }
    const storage = '00000000-0000-4000-8000-000000000000'
    const good = { id: 'a', storage, store: new MemoryStore(), address: 'server-a:1', listen }
    await refuses(Server.start, [
      ...noOptions,
      undefined,
      ...Object.keys(good).map((name) => ({ ...good, [name]: undefined })),
      ...Object.keys(good).map((name) => ({ ...good, [name]: 5 })),
      { ...good, storage: 'x' },
      { ...good, seeds: [5] },
      { ...good, engines: [{}] },
      { ...good, random: {} },
      { ...good, clock: {} },
      { ...good, sync: 'lax' },
    ])
    expect(listened).toBe(0)
  })
})
