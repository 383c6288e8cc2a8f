// Goal: a cluster of single processes is run from one configuration file. Method: the real command in real processes; the
// cluster is looked at only through other commands.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { buildCli, freePorts, jsonLines, type Running, TestFolder } from './harness.ts'

let place: TestFolder
let port: number
let url: string
const servers = new Map<string, Running>()

const epochcast = (...args: string[]) => place.run(args, { url })
const address = (at: number) => `127.0.0.1:${port + at}`

function config(topics: string): string {
  const server = (id: string, at: number) => `    ${id}: { listen: ${address(at)}, data: ./data/${id} }`
  const list = ['a', 'b', 'c'].map(server).join('\n')
  const defaults = 'defaults: { mode: fault-masking, size: 3, minimum: 1 }'
  return `cluster:\n  servers:\n${list}\nautoCreate: false\n${defaults}\ntopics:\n${topics}\n`
}

async function serve(id: string): Promise<void> {
  // What a dead server leaves open is looked at here, so nobody takes its place.
  const args = ['--config', 'cluster.yaml', '--no-replace', '--json']
  const running = place.start(['serve', '--id', id, ...args])
  await running.shows('}\n')
  servers.set(id, running)
}

const topics = async () => jsonLines((await epochcast('topics')).stdout)

beforeAll(async () => {
  place = new TestFolder(await buildCli())
  port = await freePorts(3)
  url = `epochcast://${address(0)},${address(1)},${address(2)}`
  place.write(
    'cluster.yaml',
    config('  orders.eu: { mode: fault-recovery, members: [a, b] }\n  logs: { mode: single }'),
  )
  await Promise.all(['a', 'b', 'c'].map(serve))
})

afterAll(() => place.close())

describe('serve and bootstrap', () => {
  it('says who it is, and that it waits for a cluster', async () => {
    const [ready] = jsonLines(servers.get('a')?.stdout ?? '')
    expect(ready).toMatchObject({ ready: true, id: 'a', address: address(0), cluster: null })
    expect(ready?.name).toMatch(/^a@[0-9a-f-]{36}$/)
    const early = await epochcast('topics', '--timeout', '500ms')
    expect(early.code).toBe(1)
    expect(early.stderr).toContain('belong to no cluster yet')
  })

  it('makes no cluster while one of its servers does not answer', async () => {
    const failed = await epochcast('bootstrap', address(0), address(1), '127.0.0.1:9', '--timeout', '500ms')
    expect(failed).toMatchObject({ code: 3, stdout: '' })
    expect(failed.stderr).toContain('no answer from 127.0.0.1:9')
    // Servers that are slow to answer are not there, for that one look.
    const topics = async () => (await epochcast('topics', '--timeout', '500ms')).stderr
    await expect.poll(topics, { timeout: 20_000 }).toContain('belong to no cluster yet')
  })

  it('makes the cluster once', async () => {
    const first = await epochcast('bootstrap', '--config', 'cluster.yaml', '--json')
    expect(first.code).toBe(0)
    const [made] = jsonLines(first.stdout)
    expect(made).toMatchObject({ created: true, arbiters: ['a', 'b', 'c'] })
    const again = await epochcast('bootstrap', address(0), address(1), address(2))
    expect(again.code).toBe(0)
    expect(again.stdout).toContain(`cluster ${String(made?.cluster)} exists already`)
  })

  it('refuses what does not fit the file', async () => {
    const [unknown, nowhere, locked] = await Promise.all([
      epochcast('serve', '--id', 'd', '--config', 'cluster.yaml'),
      epochcast('serve', '--id', 'd', '--listen', '127.0.0.1:9'),
      epochcast('serve', '--id', 'a', '--config', 'cluster.yaml'),
    ])
    expect(unknown.code).toBe(2)
    expect(unknown.stderr).toContain('cluster.yaml has no server d')
    expect(nowhere.code).toBe(2)
    expect(nowhere.stderr).toContain('--data')
    expect(locked.code).toBe(1)
    expect(locked.stderr).toContain('is in use')
  })
})

describe('topics of the file', () => {
  it('are all that is made by use', async () => {
    const attempts = ['pub nope x', 'sub nope -c 1']
    for (const { code, stderr } of await Promise.all(attempts.map((args) => epochcast(...args.split(' '))))) {
      expect(code).toBe(1)
      expect(stderr).toContain('epochcast: ')
    }
    const piped = await place.run(['pub', 'nope'], { url, input: 'one\ntwo\n' })
    expect(piped.code).toBe(1)
    expect(await topics()).toEqual([])
    expect((await epochcast('pub', 'logs', 'x')).code).toBe(0)
    expect(await topics()).toEqual([expect.objectContaining({ topic: 'logs', mode: 'single' })])
  })

  it('come true by apply: planned, done, and then nothing is left to do', async () => {
    const dry = await epochcast('apply', 'cluster.yaml', '--dry-run')
    expect(dry.code).toBe(0)
    expect(jsonLines(dry.stdout)).toEqual([
      expect.objectContaining({ type: 'plan', step: 'create', topic: 'orders.eu' }),
    ])
    expect(await topics()).toHaveLength(1)
    const applied = await epochcast('apply', 'cluster.yaml', '--yes')
    expect(jsonLines(applied.stdout).at(-1)).toEqual({ type: 'summary', changed: 1 })
    const again = await epochcast('apply', 'cluster.yaml')
    expect(jsonLines(again.stdout)).toEqual([{ type: 'summary', changed: 0, text: 'nothing to do' }])
  })

  it('change by epoch changes when the file does', async () => {
    await epochcast('pub', 'orders.eu', 'kept')
    place.write(
      'next.yaml',
      config('  orders.eu: { mode: single, members: [b] }\n  logs: { mode: fault-masking }\n  new:'),
    )
    const unasked = await epochcast('apply', 'next.yaml')
    expect(unasked).toMatchObject({ code: 2, stderr: expect.stringContaining('--yes') })
    const applied = await epochcast('apply', 'next.yaml', '--yes')
    expect(applied.code).toBe(0)
    const told = jsonLines(applied.stdout)
    const plans = told.filter(({ type }) => type === 'plan')
    expect(plans.map(({ topic, step }) => [topic, step])).toEqual([
      ['orders.eu', 'change'],
      ['logs', 'change'],
      ['new', 'create'],
    ])
    expect(told.at(-1)).toEqual({ type: 'summary', changed: 3 })
    expect(await topics()).toEqual([
      expect.objectContaining({ topic: 'logs', mode: 'fault-masking', members: ['a', 'b', 'c'], epoch: 2 }),
      expect.objectContaining({ topic: 'new', mode: 'fault-masking', epoch: 1 }),
      expect.objectContaining({ topic: 'orders.eu', mode: 'single', members: ['b'], epoch: 2 }),
    ])
    expect((await epochcast('get', 'orders.eu')).stdout).toBe('kept\n')
  })

  it('stay as they are when one of them cannot be', async () => {
    const text = config('  logs: { mode: single }\n  five: { mode: fault-recovery, members: [a, d] }')
    place.write('bad.yaml', text.replace('c: { listen', 'd: { listen'))
    const refused = await epochcast('apply', 'bad.yaml')
    expect(refused).toMatchObject({ code: 2, stdout: '' })
    expect(refused.stderr).toContain('topic five: no server is called d')
    expect(refused.stderr).toContain('nothing was done')
    expect((await topics())[0]).toMatchObject({ topic: 'logs', epoch: 2 })
  })

  it('are checked: every mistake of a file is named with its line', async () => {
    place.write('wrong.yaml', config('  orders.eu: { mod: single }\n  logs: { mode: singel, size: 0 }'))
    const [text, json] = await Promise.all([
      epochcast('apply', 'wrong.yaml'),
      epochcast('apply', 'wrong.yaml', '--json'),
    ])
    expect(text.code).toBe(2)
    expect(text.stderr).toContain('wrong.yaml has 3 mistakes')
    expect(text.stderr).toContain('wrong.yaml:9:16: topics.orders.eu.mod: unknown key; did you mean mode?')
    expect(jsonLines(json.stderr)[0]).toMatchObject({ code: 'EC_BAD_CONFIG', mistakes: [{}, {}, {}] })
  })
})

describe('status --timers', () => {
  it('lists what a topic waits for: nothing, once it is at rest', async () => {
    await epochcast('topics', 'create', 'quiet', '--mode', 'fault-recovery', '--members', 'a,b')
    const replicas = async () => jsonLines((await epochcast('status', 'quiet', '--timers')).stdout)[0]?.replicas
    await expect.poll(replicas, { timeout: 20_000 }).toMatchObject([{ timers: [] }, { timers: [] }])
  })

  it('is refused without a topic', async () => {
    expect(await epochcast('status', '--timers')).toMatchObject({ code: 2, stdout: '' })
  })
})

describe('a server that is gone', () => {
  it('is named by status, and what it leaves open by pub', async () => {
    await epochcast('topics', 'create', 'pair', '--mode', 'fault-recovery', '--members', 'a,c')
    expect(await servers.get('c')?.stop('SIGTERM')).toMatchObject({ code: 0, stderr: '' })
    // A server that is slow to answer is silent too, for that one look.
    const health = async (topic: string) => jsonLines((await epochcast('status', topic)).stdout)[0]?.health
    await expect.poll(() => health('new')).toMatchObject({ state: 'open', silent: ['c'], toleratesNow: 0 })
    await expect.poll(() => health('pair')).toMatchObject({ state: 'stopped', silent: ['c'] })
    expect((await epochcast('pub', 'new', 'still works', '--timeout', '60s')).code).toBe(0)
    // Connecting is part of the limit.
    const [line, lines] = await Promise.all([
      epochcast('pub', 'pair', 'x', '--timeout', '3s', '--json'),
      place.run(['pub', 'pair', '--timeout', '3s'], { url, input: 'x\ny\n' }),
    ])
    expect(line).toMatchObject({ code: 3, stdout: '' })
    expect(jsonLines(line.stderr)[0]).toMatchObject({ code: 'EC_OUTCOME_UNKNOWN', messageId: expect.any(String) })
    expect(lines.code).toBe(3)
    expect(lines.stderr).toContain('of 2 lines, 2 without a known outcome')
  })

  it('comes back with what it had', async () => {
    await serve('c')
    expect(jsonLines(servers.get('c')?.stdout ?? '')[0]?.cluster).toMatch(/^[0-9a-f-]{36}$/)
    expect((await epochcast('get', 'new')).stdout).toContain('still works')
    const reconfigured = await epochcast('reconfig', 'pair', '--members', 'a,b', '--yes', '--json')
    const stillNeeded = [{ server: 'c', arbiter: true }]
    expect(jsonLines(reconfigured.stdout).at(-1)).toMatchObject({
      type: 'done',
      members: ['a', 'b'],
      retirable: [],
      stillNeeded,
    })
  })
})
