// Goal: a new user's first hour works as the help says. Method: the real command in real processes, one cluster made by `dev`;
// everything is seen through output and exit codes.
import { closeSync, existsSync, openSync } from 'node:fs'
import { createServer } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { buildCli, freePorts, jsonLines, lines, type Running, TestFolder, until } from './harness.ts'

let place: TestFolder
let dev: Running
let port: number
let url: string
let cluster: unknown

const epochcast = (...args: string[]) => place.run(args, { url })
const pipe = (input: string | Uint8Array, ...args: string[]) => place.run(args, { url, input })
const info = async (topic: string) => jsonLines((await epochcast('topics', 'info', topic)).stdout)[0]

beforeAll(async () => {
  place = new TestFolder(await buildCli())
  port = await freePorts(3)
  dev = place.start(['dev', '--port', String(port), '--json'])
  await dev.shows('}\n')
  url = `epochcast://127.0.0.1:${port}`
})

afterAll(() => place.close())

describe('dev', () => {
  it('says in one line where it is and what to try', () => {
    const [ready] = jsonLines(dev.stdout)
    expect(ready).toMatchObject({ ready: true, url, created: true })
    expect((ready?.servers as { id: string }[] | undefined)?.map(({ id }) => id)).toEqual(['a', 'b', 'c'])
    expect((ready?.try as string[] | undefined)?.[0]).toBe(`npx epochcast pub hello "first message" --url ${url}`)
    cluster = ready?.cluster
  })

  it('refuses data that another one uses, and ports that somebody has, by name', async () => {
    const other = await freePorts(3)
    const blocker = createServer().listen(other + 1, '127.0.0.1')
    const [locked, taken] = await Promise.all([
      epochcast('dev', '--port', String(other)),
      epochcast('dev', '--port', String(other), '--data', './other'),
    ])
    blocker.close()
    expect(locked.code).toBe(1)
    expect(locked.stderr).toMatch(/data directory .*data\/a is in use by process \d+/)
    expect(locked.stderr).toContain('--data')
    expect(taken.code).not.toBe(0)
    expect(taken.stderr).toContain(`127.0.0.1:${other + 1}`)
    expect(taken.stderr).toContain('--port')
  })
})

describe('pub, get and sub', () => {
  it('publishes arguments and gives them back', async () => {
    const published = await epochcast('pub', 'hello', 'first message', 'second')
    expect(published.code).toBe(0)
    expect(lines(published.stdout)).toEqual([
      expect.stringMatching(/^1-[0-9a-f]{16}-1 durable$/),
      expect.stringMatching(/^1-[0-9a-f]{16}-2 durable$/),
    ])
    const got = await epochcast('get', 'hello')
    expect(got).toMatchObject({ code: 0, stdout: 'first message\nsecond\n' })
    const cursor = /cursor (\S+)/.exec(got.stderr)?.[1] ?? ''
    await epochcast('pub', 'hello', 'third')
    const [since, streamed, formatted] = await Promise.all([
      epochcast('get', 'hello', '--since', cursor, '--json'),
      epochcast('sub', 'hello', '--from', cursor, '-c', '1'),
      epochcast('sub', 'hello', '--from', 'start', '-c', '2', '--format', '%e %s %T %b %v%%\\n'),
    ])
    expect(jsonLines(since.stdout)).toEqual([expect.objectContaining({ topic: 'hello', epoch: 1, value: 'third' })])
    expect(streamed).toMatchObject({ code: 0, stdout: 'third\n' })
    expect(lines(formatted.stdout)).toEqual(['1 1 hello 13 first message%', '1 2 hello 6 second%'])
  })

  it('says what became of a message', async () => {
    const [result] = jsonLines((await epochcast('pub', 'asked', 'x', '--json')).stdout)
    expect(result).toMatchObject({ status: 'durable', epoch: 1 })
    const asked = await epochcast('outcome', 'asked', String(result?.id))
    expect(asked).toMatchObject({ code: 0, stdout: 'durable\n' })
  })

  it('publishes every line of its input, in order', async () => {
    const all = Array.from({ length: 20_000 }, (_, at) => `line ${at}`)
    const published = await pipe(all.join('\n'), 'pub', 'lines')
    expect(published).toMatchObject({ code: 0, stdout: '' })
    expect(published.stderr).toContain('20,000 messages stored')
    const got = await epochcast('get', 'lines')
    expect(lines(got.stdout)).toEqual(all)
  })

  it('leaves out a line that is too long, says which, and fails', async () => {
    const published = await pipe(`small\n${'x'.repeat(1024 * 1024 + 1)}\n\nlast`, 'pub', 'long')
    expect(published.code).toBe(1)
    expect(published.stderr).toContain('line 2 is longer than the 1048576 bytes')
    expect(published.stderr).toContain('of 4 lines, 1 not stored')
    expect((await epochcast('get', 'long')).stdout).toBe('small\n\nlast\n')
    const largest = await pipe('y'.repeat(1024 * 1024), 'pub', 'largest')
    expect(largest.code).toBe(0)
  })

  it('keeps bytes as they are, and shows what is no text as base64', async () => {
    const bytes = Uint8Array.of(0xff, 0x00, 0xfe)
    await pipe(bytes, 'pub', 'bytes')
    const [message] = jsonLines((await epochcast('get', 'bytes', '--json')).stdout)
    expect(message?.base64).toBe(Buffer.from(bytes).toString('base64'))
  })

  it('streams until Ctrl-C, and tells where an epoch ends', async () => {
    await epochcast('pub', 'live', 'one')
    const reader = place.start(['sub', 'live', '--from', 'start', '--events'], { url })
    await reader.shows('one\n')
    await epochcast('reconfig', 'live', '--members', 'a,b', '--mode', 'fault-recovery', '--yes')
    await epochcast('pub', 'live', 'two')
    await reader.shows('two\n')
    const { code, stdout, stderr } = await reader.stop('SIGINT')
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'one\ntwo\n' })
    expect(stderr).toMatch(/epoch 1 ended with 1 message, digest [0-9a-f]+; epoch 2: fault-recovery on a, b/)
    const cursor = /--from (\S+)/.exec(stderr)?.[1] ?? ''
    await epochcast('pub', 'live', 'three')
    expect((await epochcast('sub', 'live', '--from', cursor, '-c', '1')).stdout).toBe('three\n')
  })

  it('ends quietly when its reader goes', async () => {
    const reader = place.start(['sub', 'lines', '--from', 'start'], { url })
    await reader.shows('line 1\n')
    reader.child.stdout?.destroy()
    await pipe('more\n'.repeat(2_000), 'pub', 'lines')
    expect(await reader.ended).toMatchObject({ code: 141, stderr: '' })
  })

  it('stores every line although nobody reads the answers', async () => {
    const publisher = place.start(['pub', 'unread', '--json'], { url, input: 'line\n'.repeat(20_000) })
    publisher.child.stdout?.once('data', () => publisher.child.stdout?.destroy())
    const { code, stderr } = await publisher.ended
    expect({ code, summary: jsonLines(stderr)[0] }).toMatchObject({ code: 141, summary: { stored: 20_000, failed: 0 } })
  })

  it.runIf(existsSync('/dev/full'))('says why its output cannot be written', async () => {
    const full = openSync('/dev/full', 'w')
    try {
      const commands = [
        ['pub', 'live', 'x'],
        ['get', 'live'],
        ['sub', 'live', '--from', 'start'],
        ['topics'],
        ['--help'],
      ]
      const ended = await Promise.all(commands.map((args) => place.start(args, { url, stdout: full }).ended))
      for (const { code, stderr } of ended) {
        expect(code).toBe(1)
        expect(stderr).toMatch(/^epochcast: standard output cannot be written: ENOSPC/)
      }
      const [stored] = await Promise.all([
        epochcast('get', 'live'),
        epochcast('sub', 'live', '-c', '1', '--from', 'start'),
      ])
      expect(stored.stdout).toContain('x\n')
    } finally {
      closeSync(full)
    }
  })

  it('leaves a message of a group to the next one when it could not be printed', async () => {
    await epochcast('pub', 'jobs', 'job')
    const full = openSync('/dev/full', 'w')
    await place.start(['sub', 'jobs', '--group', 'w', '--from', 'start', '-c', '1'], { url, stdout: full }).ended
    closeSync(full)
    expect((await epochcast('sub', 'jobs', '--group', 'w', '-c', '1')).stdout).toBe('job\n')
  })

  it('ends when its time is over, whatever it waits for', async () => {
    const ended = await Promise.all([
      epochcast('sub', 'live', '-c', '1', '--timeout', '300ms'),
      epochcast('sub', 'nothing.*', '--timeout', '300ms'),
      epochcast('sub', 'live', '--group', 'late', '--timeout', '300ms'),
    ])
    // On a busy machine the time may be over before anything answers.
    for (const { code, stderr } of ended) {
      expect(code).toBe(3)
      expect(stderr).toMatch(/^epochcast: ./)
    }
    const refused = await epochcast('reply', 'live', '--timeout', '1s', '--', 'cat')
    expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining('--timeout is not for this command') })
  })

  it('reads no directory as if it were empty', async () => {
    const folder = openSync(place.directory, 'r')
    const { code, stderr } = await place.start(['pub', 'live'], { url, stdin: folder }).ended
    closeSync(folder)
    expect({ code, stderr }).toMatchObject({ code: 2, stderr: expect.stringContaining('it is a directory') })
  })
})

describe('topics, reconfig and epochs', () => {
  it('makes a topic once', async () => {
    const made = await epochcast('topics', 'create', 't', '--mode', 'fault-recovery', '--members', 'c,b', '--min', '2')
    expect(made.code).toBe(0)
    expect(jsonLines(made.stdout)[0]).toMatchObject({ mode: 'fault-recovery', members: ['b', 'c'], minimum: 2 })
    const again = await epochcast('topics', 'create', 't', '--mode', 'single')
    expect((await epochcast('topics', 'list')).stdout).toBe((await epochcast('topics', 'ls')).stdout)
    expect(again).toMatchObject({ code: 1, stdout: '' })
    expect(again.stderr).toContain('topic t exists already')
    expect(await info('t')).toMatchObject({ epoch: 1, mode: 'fault-recovery' })
  })

  it('refuses what cannot be, and changes nothing', async () => {
    const attempts: [args: string, text: string][] = [
      ['topics create no --mode single --members a,b', 'mode single takes exactly 1 server'],
      ['topics create no --size 5 --mode fault-masking', 'only 3 servers'],
      ['topics create no --mode fault-maskin', 'did you mean fault-masking?'],
      ['topics create no --members a,a,b', 'server a is named twice'],
      ['topics create no --mode fault-recovery --decider stakes', 'cannot decide by stakes'],
      ['topics create bad..name', 'dot-separated tokens'],
      ['reconfig hello --members a,b', 'fault-masking takes 2F+1 servers'],
      ['reconfig hello --members a,b,zed', 'no server is called zed'],
      ['reconfig hello --members a,b,c --size 5', '3 members are named'],
      ['reconfig hello --min 4', 'minimum 4 is more than 3 members'],
    ]
    const results = await Promise.all(attempts.map(([args]) => epochcast(...args.split(' '))))
    for (const [at, { code, stdout, stderr }] of results.entries()) {
      expect({ args: attempts[at]?.[0], code, stdout }).toEqual({ args: attempts[at]?.[0], code: 2, stdout: '' })
      expect(stderr).toContain(attempts[at]?.[1])
    }
    expect(jsonLines((await epochcast('topics')).stdout).map(({ topic }) => topic)).not.toContain('no')
    expect(await info('hello')).toMatchObject({ epoch: 1 })
  })

  it('changes a topic: plan, phases, result', async () => {
    const before = (await epochcast('get', 'hello')).stdout
    const changed = await epochcast('reconfig', 'hello', '--mode', 'single', '--members', 'b', '--expect', '1', '--yes')
    expect(changed.code).toBe(0)
    const told = jsonLines(changed.stdout)
    expect(told[0]).toMatchObject({
      type: 'plan',
      before: { epoch: 1, tolerates: 1 },
      after: { epoch: 2, tolerates: 0 },
    })
    expect((told[0]?.cautions as string[] | undefined)?.[0]).toContain('fewer failures')
    const phases = told.filter(({ type }) => type === 'progress').map(({ phase }) => phase)
    expect(phases).toEqual(expect.arrayContaining(['plan', 'wedge', 'stage', 'decide', 'start', 'enabled']))
    // They are arbiters.
    expect(told.at(-1)).toMatchObject({ type: 'done', epoch: 2, members: ['b'], retirable: [] })
    const needed = (told.at(-1)?.stillNeeded ?? []) as { server: string; arbiter: boolean }[]
    expect(needed.map(({ server, arbiter }) => [server, arbiter]).sort()).toEqual(['a', 'c'].map((id) => [id, true]))
    expect((await epochcast('get', 'hello')).stdout).toBe(before)
    for (const more of [[], ['--json'], ['--mode', 'fault-masking', '--members', 'a,b,c']]) {
      const unasked = await epochcast('reconfig', 'hello', ...more)
      expect({ code: unasked.code, plan: jsonLines(unasked.stdout) }).toMatchObject({
        code: 2,
        plan: [{ type: 'plan' }],
      })
      expect(unasked.stderr).toContain('--yes')
    }
    const stale = await epochcast('reconfig', 'hello', '--expect', '1', '--json')
    expect(stale).toMatchObject({ code: 4, stdout: '' })
    expect(jsonLines(stale.stderr)[0]).toMatchObject({ type: 'error', code: 'EC_SUPERSEDED' })
    expect(await info('hello')).toMatchObject({ epoch: 2, messagesBefore: 3 })
  })

  it('lists the epochs of a topic', async () => {
    const [first, second, ...others] = jsonLines((await epochcast('epochs', 'hello')).stdout)
    expect(first).toMatchObject({ epoch: 1, members: ['a', 'b', 'c'], open: false, closingCount: 3 })
    expect(first?.closingDigest).toMatch(/^[0-9a-f]+$/)
    expect(second).toMatchObject({ epoch: 2, members: ['b'], open: true, closingCount: null })
    expect(others).toEqual([])
  })

  it('says how the cluster and a topic are', async () => {
    const [whole, one, servers] = await Promise.all([
      epochcast('status'),
      epochcast('status', 'live'),
      epochcast('servers'),
    ])
    expect(jsonLines(whole.stdout)[0]).toMatchObject({ cluster, alive: 3 })
    expect(jsonLines(one.stdout)[0]).toMatchObject({
      topic: 'live',
      health: { state: 'open', silent: [], toleratesNow: 1, staysOpenFor: 0 },
      replicas: [expect.objectContaining({ phase: 'open' }), expect.objectContaining({ phase: 'open' })],
    })
    expect(jsonLines(servers.stdout).map(({ id, alive }) => [id, alive])).toEqual([
      ['a', true],
      ['b', true],
      ['c', true],
    ])
  })
})

describe('mistakes', () => {
  it('names them, says what to do, and exits by their kind', async () => {
    const attempts: [args: string, code: number, text: string][] = [
      ['get helo', 1, 'did you mean hello?'],
      ['status helo', 1, 'there is no topic helo'],
      ['outcome hello nonsense', 2, 'is not EPOCH-PUBLISHER-SEQUENCE'],
      ['get hello --since nonsense', 2, 'cursor "nonsense"'],
      ['sub hello --from ec1.xyz', 2, 'cursor "ec1.xyz"'],
      ['sub hello --format %q', 2, '"%q" means nothing'],
      ['sub hello -c 0', 2, 'count "0"'],
      ['get hello --level fast', 2, 'level: linearizable, durable, early'],
      ['get hello --timeout soon', 2, 'timeout "soon"'],
      ['topics --url http://127.0.0.1', 2, 'is not an epochcast:// url'],
      ['topics --url epochcast://127.0.0.1:9 --timeout 300ms', 3, 'no server answers at 127.0.0.1:9'],
      ['pubb hello x', 2, 'did you mean pub?'],
      ['topics lss', 2, 'did you mean ls?'],
      ['pub', 2, "missing required argument 'topic'"],
      ['reconfig hello --member a', 2, 'did you mean --members?'],
    ]
    const results = await Promise.all(attempts.map(([args]) => epochcast(...args.split(' '))))
    for (const [at, { code, stdout, stderr }] of results.entries()) {
      const [args, expected, text] = attempts[at] ?? ['', 0, '']
      expect({ args, code, stdout }).toEqual({ args, code: expected, stdout: '' })
      expect(stderr).toContain(text)
      expect(stderr).toMatch(/^epochcast: /)
      expect(stderr).not.toContain('    at ')
    }
    // Looking at a topic that is not there has not made it.
    expect((await epochcast('topics')).stdout).not.toContain('helo"')
  })

  it('writes an error as a JSON line where JSON is asked for', async () => {
    const { code, stderr } = await epochcast('get', 'helo', '--json')
    expect(code).toBe(1)
    expect(jsonLines(stderr)).toEqual([
      expect.objectContaining({
        type: 'error',
        code: 'EC_UNKNOWN_TOPIC',
        retryable: false,
        hint: 'did you mean hello?',
      }),
    ])
  })
})

describe('a later start of dev', () => {
  it('finds the cluster and everything in it, also at other ports', async () => {
    const stopped = await dev.stop('SIGINT')
    expect(stopped.code).toBe(0)
    port = await freePorts(3)
    url = `epochcast://127.0.0.1:${port}`
    dev = place.start(['dev', '--port', String(port)])
    await dev.shows('Ctrl-C')
    expect(dev.stdout).toContain(`ready ${url}`)
    expect(jsonLines((await epochcast('status')).stdout)[0]).toMatchObject({ cluster, alive: 3 })
    await until(async () => (await epochcast('get', 'hello', '--timeout', '2s')).code === 0, 'the topic')
    expect((await epochcast('get', 'hello')).stdout).toBe('first message\nsecond\nthird\n')
    expect((await epochcast('pub', 'lines', 'after')).code).toBe(0)
  })
})
