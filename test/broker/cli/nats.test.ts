// Goal: a cluster whose transport is NATS is run from one configuration file. Method: the real command in real processes, a real
// nats-server; the cluster is looked at only through other commands.
import { afterAll, beforeAll, expect, it } from 'vitest'
import { openNats } from '../../../proto/transport/nats-link.ts'
import { describeNats, NatsServers } from '../../peers/nats-server.ts'
import { buildCli, jsonLines, lines, type Running, TestFolder, until } from './harness.ts'

const ids = ['a', 'b', 'c']

describeNats('a cluster on NATS', () => {
  let folder: TestFolder
  let nats: NatsServers
  const servers = new Map<string, Running>()

  const serve = async (id: string): Promise<void> => {
    const running = folder.start(['serve', '--id', id, '--config', 'cluster.yaml', '--json'])
    servers.set(id, running)
    await running.shows('"ready":true')
  }

  beforeAll(async () => {
    folder = new TestFolder(await buildCli())
    nats = await NatsServers.start({ config: 'authorization { users: [{ user: u, password: "p@ss" }] }' })
    folder.write(
      'cluster.yaml',
      `cluster: { servers: { ${ids.map((id) => `${id}: { data: ./${id} }`).join(', ')} } }
transport: { type: nats, servers: "${nats.addresses.join(',')}", user: u, password: p@ss, prefix: shop }
topics: { orders: { mode: fault-masking } }
`,
    )
    await Promise.all(ids.map(serve))
  })

  afterAll(async () => {
    await folder.close()
    await nats.close()
  })

  const url = () => nats.url.replace('nats://', 'nats://u:p%40ss@').concat('?prefix=shop')

  it('is made once, and found by a nats:// url', async () => {
    const made = await folder.run(['bootstrap', '--config', 'cluster.yaml', '--json'])
    expect(made.code, made.stderr).toBe(0)
    expect(jsonLines(made.stdout)[0]).toMatchObject({ created: true, servers: ['nats/a', 'nats/b', 'nats/c'] })
    const applied = await folder.run(['apply', 'cluster.yaml', '--yes'])
    expect(applied.code, applied.stderr).toBe(0)
    const input = Array.from({ length: 2_000 }, (_, at) => `line ${at}`).join('\n')
    const published = await folder.run(['pub', 'orders'], { url: url(), input })
    expect(published.code, published.stderr).toBe(0)
    const got = await folder.run(['get', 'orders'], { url: url() })
    expect(lines(got.stdout)).toHaveLength(2_000)
  })

  it('goes on while a server is down, and takes it back', async () => {
    await servers.get('b')?.stop('SIGKILL')
    const published = await folder.run(['pub', 'orders', 'without b'], { url: url() })
    expect(published.code, published.stderr).toBe(0)
    await serve('b')
    const changed = await folder.run(['reconfig', 'orders', '--members', 'b', '--mode', 'single', '--yes'], {
      url: url(),
    })
    expect(changed.code, changed.stderr).toBe(0)
    const got = await folder.run(['get', 'orders'], { url: url() })
    expect(lines(got.stdout)).toHaveLength(2_001)
  })

  it('is joined to other subjects by a bridge, both ways, until it is told to stop', async () => {
    const login = nats.url.replace('nats://', 'nats://u:p%40ss@')
    const args = ['--nats', login, '--subject', 'in.>', '--topic', 'joined.{1}', '--json']
    const out = ['--from-topic', 'joined.x', '--to-subject', 'out.{topic}', '--from', 'start', '--state', 'bridge.json']
    const bridge = folder.start(['bridge', 'nats', ...args, ...out], { url: url() })
    await bridge.shows('"ready":true')
    const connection = await openNats({ servers: nats.addresses, user: 'u', password: 'p@ss' })
    try {
      const seen: string[] = []
      connection.subscribe('out.joined.x', {
        callback: (_error, message) => {
          seen.push(message.string())
        },
      })
      const answer = await connection.request('in.x', 'tea', { timeout: 60_000 })
      expect(answer.json()).toMatchObject({ topic: 'joined.x', status: 'durable' })
      await until(() => seen.length === 1, 'the message on its way out')
      expect(seen).toEqual(['tea'])
    } finally {
      await connection.close()
    }
    const { code, stderr } = await bridge.stop()
    expect(code, stderr).toBe(0)
    expect(jsonLines(stderr).at(-1)).toMatchObject({ type: 'end', stored: 1, refused: 0, sent: 1 })
    const circle = [
      'bridge',
      'nats',
      '--subject',
      'out.>',
      '--topic',
      'x',
      '--from-topic',
      'x',
      '--to-subject',
      'out.x',
    ]
    const refused = await folder.run(circle, { url: url() })
    expect(refused.code).toBe(2)
    expect(refused.stderr).toContain('comes in by out.>')
    const wrong = await folder.run(['bridge', 'nats', '--subject', 'a.*', '--topic', 'x.{2}'], { url: url() })
    expect(wrong.code).toBe(2)
    expect(wrong.stderr).toContain('{2} in topic')
  })

  it('names what is wrong with the way there, and shows no password', async () => {
    const refused = await folder.run(['pub', 'orders', 'x'], { url: url().replace('p%40ss', 'wrong') })
    expect(refused.code).not.toBe(0)
    expect(refused.stderr).toContain('refuses these credentials')
    const alone = await folder.run(['--timeout', '1s', 'pub', 'orders', 'x'], { url: url().replace('shop', 'shops') })
    expect(alone.code).toBe(3)
    expect(alone.stderr).toContain('no server answers at nats://')
    expect(alone.stderr).not.toContain('p%40ss')
    const taken = await folder.run(['serve', '--id', 'a', '--data', 'elsewhere', '--nats', url()])
    expect(taken.code).not.toBe(0)
    expect(taken.stderr).toContain('another process listens at nats/a')
    const bad = await folder.run(['pub', 'orders', 'x'], { url: 'nats://a:1?pw=x' })
    expect(bad.code).toBe(2)
    expect(bad.stderr).toContain('pw is not known in a nats:// url')
  })
})
