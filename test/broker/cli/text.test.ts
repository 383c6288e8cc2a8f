// Goal: the small parts that text goes through keep it as it is. Method: calls with the edges of what can come.
import { describe, expect, it } from 'vitest'
import { toMilliseconds, toServerIds } from '../../../broker/cli/arguments.ts'
import { healthOf } from '../../../broker/cli/health.ts'
import { parseFormat } from '../../../broker/cli/messages.ts'
import { colorsFor } from '../../../broker/cli/terminal/colors.ts'
import { type Line, Lines, lineBytesMax } from '../../../broker/cli/terminal/lines.ts'
import { table } from '../../../broker/cli/terminal/table.ts'
import type { Message, ReplicaInfo } from '../../../client-sdk/index.ts'
import type { Configuration, Mode } from '../../../proto/configuration.ts'

function split(...chunks: (string | Buffer)[]): string[] {
  const lines = new Lines()
  const found: Line[] = chunks.flatMap((chunk) => [...lines.take(Buffer.from(chunk))])
  const rest = lines.rest()
  if (rest !== null) found.push(rest)
  return found.map((line) => (line === 'too-long' ? line : Buffer.from(line).toString()))
}

describe('lines', () => {
  it.each([
    [['a\nb\n'], ['a', 'b']],
    [['a\n\nb'], ['a', '', 'b']],
    [
      ['a', 'b\nc', '\n'],
      ['ab', 'c'],
    ],
    [['\n'], ['']],
    [[''], []],
    [['a\r\nb'], ['a\r', 'b']],
  ])('%j are %j', (chunks, lines) => {
    expect(split(...chunks)).toEqual(lines)
  })

  it('are given up beyond the largest message, and only they', () => {
    const largest = 'x'.repeat(lineBytesMax)
    expect(split(largest, '\n', largest, 'x', 'x\n', 'small')).toEqual([largest, 'too-long', 'small'])
  })
})

describe('format', () => {
  const message = { epoch: 3, publisher: 'p', sequence: 7, timeMs: 0, payload: Buffer.from('v'), topic: 't', id: 'i' }
  const print = (format: string) =>
    Buffer.concat(
      parseFormat(format)(message as never as Message<Uint8Array>).map((part) => Buffer.from(part)),
    ).toString()

  it('knows its letters and escapes', () => {
    expect(print('%e %p %s %t %i %v %b %T %%\\t\\n\\\\')).toBe('3 p 7 1970-01-01T00:00:00.000Z i v 1 t %\t\n\\')
    expect(print('plain ünï')).toBe('plain ünï')
  })

  it.each(['%q', '%', '\\q', '\\'])('refuses %s', (format) => {
    expect(() => parseFormat(format)).toThrow('means nothing in a format')
  })
})

describe('tables', () => {
  it('align text left and numbers right', () => {
    const rows = [
      { name: 'a', size: 5 },
      { name: 'long', size: 1_000 },
    ]
    const columns = [
      { title: 'name', of: (row: (typeof rows)[number]) => row.name },
      { title: 'size', of: (row: (typeof rows)[number]) => row.size },
    ]
    const colors = colorsFor({ isTTY: false } as NodeJS.WriteStream)
    expect(table(rows, columns, colors)).toBe('name   size\na         5\nlong  1,000\n')
  })
})

describe('arguments', () => {
  it.each([
    ['500', 500],
    ['10s', 10_000],
    ['2m', 120_000],
  ])('%s are %d ms', (text, ms) => {
    expect(toMilliseconds(text)).toBe(ms)
  })

  it.each(['', '0', '1h', '-1', '1.5s', '9999999999'])('%j is no time', (text) => {
    expect(() => toMilliseconds(text)).toThrow('is not a time')
  })

  it('take a list of servers', () => {
    expect(toServerIds('a, b,c')).toEqual(['a', 'b', 'c'])
    expect(() => toServerIds('a,,b')).toThrow('server id ""')
    expect(() => toServerIds('')).toThrow('no server is named')
  })
})

describe('health', () => {
  const health = (mode: Mode, phases: string) => {
    const members = [...phases].filter((letter) => !/[A-Z]/.test(letter)).map((_, at) => ({ name: `s${at}@x` }))
    const replicas = [...phases].map((letter, at) => {
      const phase =
        { o: 'open', f: 'open', w: 'wedged', s: 'starting', '-': 'silent' }[letter.toLowerCase()] ?? 'absent'
      const isOld = letter === letter.toUpperCase() && letter !== '-'
      return { server: `s${at}`, phase, epoch: phase === 'silent' ? null : 1, isOld } as ReplicaInfo
    })
    const { state, toleratesNow, staysOpenFor } = healthOf(
      { topic: 't', epoch: 1, mode, members } as never as Configuration,
      replicas,
      [...phases].map((letter, at) => ({ id: `s${at}`, shortages: letter === 'f' ? ['space'] : [] }) as never),
    )
    return `${state} ${toleratesNow} ${staysOpenFor}`
  }

  it.each<[Mode, string, string]>([
    ['fault-masking', 'ooooo', 'open 2 2'],
    ['fault-masking', 'ooo--', 'open 0 0'],
    ['fault-masking', 'oo---', 'stopped 0 0'],
    ['fault-masking', 'wwo', 'changing 1 0'],
    ['fault-recovery', 'ooo', 'open 2 0'],
    ['fault-recovery', 'oo-', 'stopped 1 0'],
    ['fault-recovery', 'w-', 'changing 0 0'],
    ['fault-masking', 'oof', 'open 1 0'],
    ['fault-masking', 'off', 'full 1 0'],
    ['fault-recovery', 'of', 'full 1 0'],
    ['single', 'f', 'full 0 0'],
    ['single', 'o', 'open 0 0'],
    ['single', '-', 'stopped 0 0'],
    ['fault-masking', 'sss', 'starting 0 0'],
    ['fault-masking', 'oosWWW', 'open 1 0'],
    ['fault-recovery', 'xsWW', 'starting 0 0'],
    ['fault-recovery', '--WW', 'starting 0 0'],
  ])('of %s with %s is %s', (mode, phases, expected) => {
    expect(health(mode, phases)).toBe(expected)
  })

  it('names what a stopped topic waits for', () => {
    const members = ['a', 'b'].map((id) => ({ name: `${id}@x` }))
    const configuration = { topic: 't', epoch: 1, mode: 'fault-recovery', members } as never as Configuration
    const replicas = [
      { server: 'a', phase: 'open', epoch: 1, isOld: false },
      { server: 'b', phase: 'silent', epoch: null, isOld: false },
    ] as never as ReplicaInfo[]
    const textWith = (...alive: string[]) =>
      healthOf(configuration, replicas, alive.map((id) => ({ id, alive: true, shortages: [] })) as never).text
    expect(textWith('a')).toBe(
      'b does not answer: start it again; it needs every member, and no other server answers that could take a place; ' +
        'or: epochcast reconfig t --members …',
    )
    // Whether a spare does is a matter of how its servers are started.
    expect(textWith('a', 'c')).toBe(
      'b does not answer: start it again; it needs every member, and c can take a place, by itself where servers replace ' +
        'dead members (replaceDeadAfterMs); or: epochcast reconfig t --members …',
    )
  })

  it.each<[Mode, number]>([
    ['single', 1],
    ['fault-masking', 1],
    ['fault-recovery', 1],
    ['fault-recovery', 2],
  ])('of %s with %i members in words says what it tolerates, and never loses nothing at no failure', (mode, size) => {
    const ids = ['a', 'b'].slice(0, size)
    const configuration = { topic: 't', epoch: 1, mode, members: ids.map((id) => ({ name: `${id}@x` })) }
    const replicas = ids.map((server) => ({ server, phase: 'open', epoch: 1, isOld: false }))
    expect(healthOf(configuration as never, replicas as never, []).text).toBe(
      size === 1
        ? 'takes messages, but tolerates no further failure'
        : 'takes messages; loses nothing at 1 further failure; stops at the next one until it is reconfigured',
    )
  })
})
