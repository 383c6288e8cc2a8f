/** `bench readme`: the picture and the table of the README, measured and put there by one command. */
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import type { Command } from 'commander'
import { EpochcastError } from '../../proto/errors.ts'
import type { MachineShare } from '../measure/processes.ts'
import { number } from '../options.ts'
import { ms, percent, times, whole } from '../report/text.ts'
import type { CompareSummary, SystemFigures } from './compare.ts'
import type { EpochsSummary } from './epochs.ts'

interface Options {
  readonly readme: string
  readonly pictures: string
  readonly out: string
  readonly data: string
  readonly changes: number
  readonly rate: number
  readonly repeats: number
}

type Measured<Summary> = Summary & { readonly machine: MachineShare }

export const beginMark = '<!-- bench: measured by `npm run -s bench -- readme` -->'
export const endMark = '<!-- /bench -->'

/** @param run runs another command of the benchmark */
export function addReadme(parent: Command, run: (args: readonly string[]) => Promise<unknown>): void {
  parent
    .command('readme')
    .summary('measures and puts the picture and the table into README.md')
    .option('--readme <file>', `where they go, between ${beginMark} and ${endMark}`, './README.md')
    .option('--pictures <dir>', 'where the pictures go', './docs/pictures')
    .option('--out <dir>', 'where results are written', './bench-results')
    .option('--data <dir>', 'servers keep their logs in a new folder here: a real disk', process.env.TMPDIR ?? '/tmp')
    .option('--changes <n>', 'epoch changes of the picture', number('changes', 1, 1000), 20)
    .option(
      '--rate <n>',
      'messages per second of the picture; 0: as many as it takes',
      number('rate', 0, 10_000_000),
      2_000,
    )
    .option('--repeats <n>', 'how often the comparison is measured, in turn', number('repeats', 1, 100), 3)
    .action((options: Options) => readme(options, run))
}

async function readme(options: Options, run: (args: readonly string[]) => Promise<unknown>): Promise<void> {
  const { readme: path, pictures, out, data } = options
  const before = readFileSync(path, 'utf8')
  // Before anything is measured: it may have no place for it.
  withBlock(before, '')
  const where = ['--out', out, '--data', data]
  await run(['epochs', '--changes', String(options.changes), '--rate', String(options.rate), ...where])
  if (process.exitCode) return
  await run(['compare', '--repeats', String(options.repeats), ...where])
  if (process.exitCode) return
  const read = (name: string) => JSON.parse(readFileSync(join(out, `${name}.json`), 'utf8'))
  mkdirSync(pictures, { recursive: true })
  for (const name of ['epochs', 'compare']) copyFileSync(join(out, `${name}.svg`), join(pictures, `${name}.svg`))
  const folder = relative(dirname(path), pictures) || '.'
  writeFileSync(path, withBlock(before, blockOf(read('epochs'), read('compare'), folder)))
  process.stderr.write(`written: ${path}, ${pictures}\n`)
}

/** @throws EpochcastError `EC_BAD_ARGUMENT` when the text has no place for it */
export function withBlock(text: string, block: string): string {
  const [begin, end] = [text.indexOf(beginMark), text.indexOf(endMark)]
  if (begin < 0 || end < begin) {
    throw new EpochcastError('EC_BAD_ARGUMENT', 'the text has no place for the results', {
      hint: `put ${beginMark} and ${endMark} where they are to be`,
    })
  }
  return `${text.slice(0, begin + beginMark.length)}\n\n${block}${text.slice(end)}`
}

export function blockOf(epochs: Measured<EpochsSummary>, compare: Measured<CompareSummary>, folder: string): string {
  const noise = (share: MachineShare) => percent((share.foreign ?? 0) + (share.stolen ?? 0))
  const { limit, versions } = compare
  const found = Object.entries(versions).map(([family, version]) => `${family} ${version ?? 'not installed'}`)
  const skipped = Object.entries(compare.skipped).map(([name, why]) => `- Not measured: \`${name}\`: ${why}.`)
  return [
    `![Messages a second across ${epochs.changes.length} epoch changes](${folder}/epochs.svg)`,
    '',
    `${epochs.changes.length} epoch changes: longest acknowledgement gap of each, median ${ms(epochs.ackGapMs.p50)} ms, worst ` +
      `${ms(epochs.ackGapMs.max)} ms (${ms(epochs.undisturbedAckGapMs.p50)} ms where nothing happens); ` +
      `${percent(epochs.throughputKept)} of the undisturbed throughput; lost ${epochs.lost}, duplicated ${epochs.duplicated}, ` +
      `unknown ${epochs.outcomesUnknown}. Others used ${noise(epochs.machine)} of the ${epochs.machine.cores} cores.`,
    '',
    '| | messages/s | epochcast is | planned change, gap ms | kill -9, gap ms | lost | acknowledged means |',
    '| --- | --- | --- | --- | --- | --- | --- |',
    ...rowsOf(compare),
    '',
    `One publisher, ${String((compare.options as { payload?: number }).payload)}-byte messages, three servers, medians of repeats in turn; the limit of ` +
      `the machine without any protocol was ${whole(limit.msgsPerSecond)} messages/s. ${found.join(', ')}. Others used ` +
      `${noise(compare.machine)} of the cores.`,
    ...(skipped.length === 0 ? [] : ['', ...skipped]),
    '',
    '',
  ].join('\n')
}

function rowsOf(compare: CompareSummary): string[] {
  const row = (name: string, figures: SystemFigures, ratio: number | null) => {
    const { planned, kill } = figures
    const lost = figures.lost + (planned?.lost ?? 0) + (kill?.lost ?? 0)
    const cells = [
      name,
      whole(figures.msgsPerSecond),
      ratio === null ? '' : times(ratio),
      ms(planned?.gapMs.median ?? null),
      ms(kill?.gapMs.median ?? null),
      whole(lost),
      figures.promise,
    ]
    return `| ${cells.join(' | ')} |`
  }
  const peers = Object.entries(compare.peers).flatMap(([name, figures]) =>
    'skipped' in figures ? [] : [row(`\`${name}\``, figures, compare.ratios[name] ?? null)],
  )
  return [row('epochcast', compare.ours, null), ...peers]
}
