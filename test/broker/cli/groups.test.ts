// Goal: properties, patterns, groups, requests and places to begin work from the command line, and what is mistyped is explained.
// Method: the real command in real processes, one cluster made by `dev`.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { buildCli, freePorts, jsonLines, lines, type Running, TestFolder } from './harness.ts'

let place: TestFolder
let dev: Running
let url: string

const epochcast = (...args: string[]) => place.run(args, { url })

beforeAll(async () => {
  place = new TestFolder(await buildCli())
  const port = await freePorts(3)
  dev = place.start(['dev', '--port', String(port), '--json'])
  await dev.shows('}\n')
  url = `epochcast://127.0.0.1:${port}`
})

afterAll(() => place.close())

describe('properties', () => {
  it('are published and shown', async () => {
    const options = ['--key', 'k', '--header', 'a=1', '--header', 'b=x=y', '--content-type', 'text/plain']
    expect((await epochcast('pub', 'props', 'x', ...options)).code).toBe(0)
    const [message] = jsonLines((await epochcast('get', 'props', '--json')).stdout)
    expect(message).toMatchObject({ key: 'k', contentType: 'text/plain', headers: { a: '1', b: 'x=y' }, value: 'x' })
    expect((await epochcast('get', 'props', '--format', '%k %h\\n')).stdout).toBe('k {"a":"1","b":"x=y"}\n')
    const bad = await epochcast('pub', 'props', 'x', '--header', 'nothing')
    expect(bad).toMatchObject({ code: 2, stderr: expect.stringContaining('NAME=VALUE') })
  })
})

describe('sub', () => {
  it('reads patterns, epochs and times', async () => {
    await epochcast('pub', 'tree.a', '1')
    await epochcast('pub', 'tree.b.c', '2')
    const all = await epochcast('sub', 'tree.>', '--from', 'start', '-c', '2', '--format', '%T %v\\n')
    expect(lines(all.stdout).sort()).toEqual(['tree.a 1', 'tree.b.c 2'])
    await epochcast('reconfig', 'tree.a', '--yes')
    await epochcast('pub', 'tree.a', '3')
    expect((await epochcast('sub', 'tree.a', '--from', 'epoch:2', '-c', '1')).stdout).toBe('3\n')
    expect((await epochcast('sub', 'tree.a', '--from', '2001-01-01T00:00:00Z', '-c', '2')).stdout).toBe('1\n3\n')
  })

  it.each([
    ['2', []],
    ['2', ['--group', 'few']],
    ['1', ['--group', 'unanswered', '--ack', 'explicit']],
  ])('interrupted before %s messages of %j are done, ends with 130', async (count, options) => {
    await epochcast('pub', `few${options.length}`, 'one')
    const args = ['sub', `few${options.length}`, '--from', 'start', '-c', count, ...options]
    const reader = place.start(args, { url, isInputOpen: true })
    await reader.shows('one\n')
    expect(await reader.stop('SIGINT')).toMatchObject({ code: 130, stderr: expect.stringContaining('interrupted') })
  })

  it.each([
    [['sub', 'a..*'], 'empty token'],
    [['sub', 'a*'], "'orders.*'"],
    [['sub', 't', '--from', 'epoch:x'], 'epoch "x"'],
    [['sub', 't', '--from', 'time:noon'], '"noon" is not a time'],
    [['sub', 't', '--ack', 'auto'], '--group'],
    [['sub', 't', '--group', 'a b'], 'not a name'],
    [['sub', 't.*', '--group', 'g'], 'one topic'],
    [['sub', 't', '--group', 'g', '--ack', 'autp'], 'did you mean auto'],
  ])('explains what is wrong with %j', async (args, text) => {
    const ended = await epochcast(...args)
    expect(ended.code).toBe(2)
    expect(ended.stderr).toContain(text)
  })

  it('shares messages in a group, which goes on where it was', async () => {
    await epochcast('pub', 'jobs', '1', '2', '3', '4', '5')
    const first = await epochcast('sub', 'jobs', '--group', 'g', '--from', 'start', '-c', '2')
    expect(first).toMatchObject({ code: 0, stdout: '1\n2\n' })
    const second = await epochcast('sub', 'jobs', '--group', 'g', '-c', '3')
    expect(second).toMatchObject({ code: 0, stdout: '3\n4\n5\n' })
  })
})

describe('request and reply', () => {
  it('answers with a command', async () => {
    const reply = place.start(['reply', 'shout', '--json', '--', 'tr', 'a-z', 'A-Z'], { url })
    while (!reply.stderr.includes('ready')) await new Promise((resolve) => setTimeout(resolve, 20))
    const asked = await epochcast('request', 'shout', 'hello')
    expect(asked).toMatchObject({ code: 0, stdout: 'HELLO\n' })
    expect((await reply.stop()).code).not.toBe(1)
    const nobody = await epochcast('request', 'shout', 'hello', '--timeout', '2s')
    expect(nobody).toMatchObject({ code: 3, stderr: expect.stringContaining('not known') })
  })
})
