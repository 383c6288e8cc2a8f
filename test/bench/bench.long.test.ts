// Goal: the commands measure real servers, say what they found in the form that is promised, and refuse what they do not know.
// Method: short runs as processes of their own; figures are looked at for their form only.
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { beginMark, endMark, withBlock } from '../../bench/commands/readme.ts'
import { runBuilt } from './run-built.ts'

let folder = ''

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bench-test-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const bench = (...args: readonly string[]) => runBuilt('bench/main.js', args)
const places = () => ['--out', join(folder, 'out'), '--data', join(folder, 'data'), '--json']
const percentiles = { p50: expect.any(Number), p99: expect.any(Number), max: expect.any(Number) }
// A machine that stands still for the measured second has none.
const figure = expect.toSatisfy((value: unknown) => value === null || typeof value === 'number')
const all = { p50: figure, p99: figure, p999: figure, max: figure }

describe('the benchmark', () => {
  it('measures publishing, and leaves its results and nothing else', async () => {
    const short = ['--seconds', '1', '--warmup', '0.2', '--repeats', '1', '--subscribers', '1']
    const { code, stdout, stderr } = await bench('publish', ...short, ...places())
    expect(code, stderr).toBe(0)
    expect(JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '')).toMatchObject({
      command: 'publish',
      msgsPerSecond: expect.any(Number),
      ofLimit: expect.any(Number),
      ackMs: all,
      deliveryMs: all,
      serverCpuSecondsPerMillion: figure,
      lost: 0,
      duplicated: 0,
      machine: { cores: expect.any(Number) },
      problems: [],
    })
    expect((await readdir(join(folder, 'out'))).sort()).toEqual(['publish.html', 'publish.json', 'publish.svg'])
    expect(await readdir(join(folder, 'data'))).toEqual([])
  })

  it('measures epoch changes, with a member killed on the way', async () => {
    const short = [
      '--changes',
      '2',
      '--kinds',
      'same,replace-killed',
      '--seconds',
      '1',
      '--quiet',
      '0.5',
      '--rate',
      '500',
    ]
    const { code, stdout, stderr } = await bench('epochs', ...short, '--warmup', '0.2', ...places())
    expect(code, stderr).toBe(0)
    const result = JSON.parse(stdout)
    expect(result).toMatchObject({
      lost: 0,
      duplicated: 0,
      outcomesUnknown: 0,
      ackGapMs: percentiles,
      deliveryGapMs: percentiles,
      throughputKept: figure,
    })
    expect(result.changes.map((change: { readonly kind: string }) => change.kind)).toEqual(['same', 'replace-killed'])
    expect(result.changes[0]).toMatchObject({ ackGapMs: expect.any(Number), wedgeMs: expect.any(Number) })
    const { series } = JSON.parse(await readFile(join(folder, 'out', 'epochs.json'), 'utf8'))
    expect(series.sliceMs).toBe(10)
  })

  it('refuses what it does not know, with the nearest that it does', async () => {
    const [command, kind, size] = await Promise.all([
      bench('pubish'),
      bench('epochs', '--kinds', 'disjont'),
      bench('publish', '--payload', '3', '--json'),
    ])
    expect([command.code, kind.code, size.code]).toEqual([2, 2, 2])
    expect(command.stderr).toContain('did you mean publish?')
    expect(kind.stderr).toContain('disjoint')
    expect(JSON.parse(size.stderr)).toMatchObject({ type: 'error', code: 'EC_BAD_ARGUMENT' })
  })

  it('puts its results between the marks, again and again, and nowhere else', () => {
    const before = `# Title\n${beginMark}\nold\n${endMark}\nrest\n`
    const once = withBlock(before, 'new\n')
    expect(once).toBe(`# Title\n${beginMark}\n\nnew\n${endMark}\nrest\n`)
    expect(withBlock(once, 'new\n')).toBe(once)
    expect(() => withBlock('# Title\n', 'new')).toThrow('no place')
  })
})
