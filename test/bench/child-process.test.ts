// Goal: a child ends with the process that started it, whenever and however that one ends, and is an ordinary child otherwise.
// Method: a parent in a process of its own starts children and kills itself in the same turn, so that no child has loaded anything;
// others kill it later; the pids that it has named are looked for.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type ChildOptions, callCommand, endOf, runChild, startChild } from '../../bench/child-process.ts'
import { buildCli } from '../broker/cli/harness.ts'
import { until } from '../until.ts'

const folder = mkdtempSync(join(tmpdir(), 'epochcast-child-'))
const parent = join(folder, 'parent.mjs')
const node = process.execPath

/** A module that starts `count` children, prints their pids, and dies at once or waits. */
const parentSource = (door: string) => `
  import { writeSync } from 'node:fs'
  const { startChild } = await import(${JSON.stringify(door)})
  const [count, options, end, ...command] = JSON.parse(process.argv[2])
  for (let at = 0; at < count; at++) writeSync(1, startChild(command[0], command.slice(1), options).pid + ' ')
  if (end === 'at once') process.kill(process.pid, 'SIGKILL')
  if (end === 'exit') process.exit(0)
  writeSync(1, 'waits')
`

beforeAll(async () => writeFileSync(parent, parentSource(join(await buildCli(), '../../../bench/child-process.js'))))
afterAll(() => rmSync(folder, { recursive: true }))

interface Family {
  readonly count: number
  readonly end: 'at once' | 'exit' | 'never'
  readonly options?: ChildOptions
  readonly command?: readonly string[]
}

function familyOf({ count, end, options = {}, command = ['sleep', '1000'] }: Family): string[] {
  return [parent, JSON.stringify([count, options, end, ...command])]
}

/** Those of the processes that run: what nobody has asked about after its end is none. */
function running(pids: readonly string[]): string[] {
  const { stdout } = callCommand('ps', ['-o', 'stat=,args=', '-p', pids.join(',')])
  return stdout.split('\n').filter((line) => line !== '' && !line.startsWith('Z'))
}

describe('a child whose parent is gone', () => {
  it.each([
    ['was killed in the turn that started it', { count: 12, end: 'at once' }],
    ['ended in the turn that started it', { count: 12, end: 'exit' }],
    ['was killed, in a group of its own', { count: 5, end: 'at once', options: { detached: true, isGroup: true } }],
    [
      'was killed, with a channel',
      { count: 5, end: 'at once', options: { stdio: ['ignore', 'ignore', 'ignore', 'ipc'] } },
    ],
    [
      'was killed, and it hears no signal',
      { count: 5, end: 'at once', command: ['sh', '-c', 'trap "" TERM HUP INT; sleep 9'] },
    ],
  ] satisfies [string, Family][])('ends, where that one %s', async (_, family) => {
    for (let round = 0; round < 2; round++) {
      const { stdout } = await runChild(node, familyOf(family))
      const pids = stdout.trim().split(' ')
      expect(pids).toHaveLength(family.count)
      await until(() => running(pids).length === 0, `${family.count} children end`)
    }
  })

  it('ends with all that it has started, where it leads a group', async () => {
    const command = ['sh', '-c', 'sleep 1000 & echo $! >&2; wait']
    const options: ChildOptions = { detached: true, isGroup: true, stdio: ['ignore', 'ignore', 'inherit'] }
    const child = startChild(node, familyOf({ count: 1, end: 'never', options, command }))
    let pids = ''
    child.stderr?.on('data', (part: Buffer) => {
      pids += part.toString()
    })
    await until(() => pids.endsWith('\n'), 'the grandchild says who it is')
    expect(running([pids.trim()])).toHaveLength(1)
    child.kill('SIGKILL')
    await until(() => running([pids.trim()]).length === 0, 'the grandchild ends')
  })

  it('ends when that one is killed later', async () => {
    const child = startChild(node, familyOf({ count: 5, end: 'never' }))
    let said = ''
    child.stdout?.on('data', (part: Buffer) => {
      said += part.toString()
    })
    await until(() => said.endsWith('waits'), 'all are started')
    const pids = said.split(' ').slice(0, -1)
    expect(running(pids)).toHaveLength(5)
    child.kill('SIGKILL')
    await until(() => running(pids).length === 0, 'all end')
  })
})

describe('a child', () => {
  it('is what was asked for: its pid, arguments, input, environment and status', async () => {
    const script =
      'process.stdin.pipe(process.stdout).on("finish", () => {}); process.stderr.write(process.argv[1] + process.env.WORD)'
    const env = { ...process.env, WORD: 'word' }
    expect(await runChild(node, ['-e', script, 'a "b" $c'], { input: 'tea', env })).toEqual({
      code: 0,
      signal: null,
      stdout: 'tea',
      stderr: 'a "b" $cword',
    })
    expect(await runChild('sh', ['-c', 'exit 7'])).toMatchObject({ code: 7, signal: null })
    expect(await runChild('no-such-program', [])).toMatchObject({ code: 127 })
    const itself = startChild('sh', ['-c', 'echo $$'])
    expect((await endOf(itself)).stdout).toBe(`${itself.pid}\n`)
  })

  it('ends by the signals that it is sent, and leaves no watcher behind', async () => {
    const child = startChild('sleep', ['1000'])
    const watchers = () => {
      const { stdout } = callCommand('ps', ['-ax', '-ww', '-o', 'args='])
      return stdout.split('\n').filter((line) => line.endsWith(` watcher ${child.pid}`)).length
    }
    await until(() => watchers() === 1, 'it is watched')
    child.kill('SIGTERM')
    expect(await endOf(child)).toMatchObject({ code: null, signal: 'SIGTERM' })
    await until(() => watchers() === 0, 'its watcher ends')
  })

  it('has a channel where it is asked for', async () => {
    const echo = 'process.once("message", (word) => process.send([word, word], () => process.disconnect()))'
    const child = startChild(node, ['-e', echo], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      serialization: 'advanced',
    })
    const answer = new Promise((resolve) => child.once('message', resolve))
    child.send(new Map([[1, 2]]))
    expect(await answer).toEqual([new Map([[1, 2]]), new Map([[1, 2]])])
    expect(await endOf(child)).toMatchObject({ code: 0 })
  })
})
