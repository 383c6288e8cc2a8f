/** What a command hands over: the summary for its last line, words for people, and everything that pictures are made of. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { makeDirectory } from '../../broker/log/make-directory.ts'
import type { Picture } from '../draw/chart.ts'
import { pictureHtml } from '../draw/page.ts'
import { pictureSvg } from '../draw/svg.ts'
import type { MachineShare } from '../measure/processes.ts'
import { percent } from './text.ts'

export interface Report<Summary extends { readonly command: string }> {
  readonly summary: Summary
  readonly text: string
  /** Beside the summary in the file of results. */
  readonly series: object
  /** Null: nothing to see. */
  readonly picture: Picture | null
  /** Nothing is as it should be when this is not empty: the command fails. */
  readonly problems?: readonly string[]
}

/** @returns the exit status */
export function finish<Summary extends { readonly command: string }>(
  to: { readonly out: string; readonly json: boolean },
  report: Report<Summary>,
  machine: MachineShare,
): number {
  const { summary, text, series, picture, problems = [] } = report
  const name = summary.command
  makeDirectory(to.out)
  const write = (extension: string, content: string) => {
    const path = join(to.out, `${name}.${extension}`)
    writeFileSync(path, content)
    return path
  }
  const all = { ...summary, machine, problems }
  const written = [write('json', `${JSON.stringify({ ...all, series }, null, 1)}\n`)]
  if (picture !== null) {
    written.push(write('svg', pictureSvg(picture)))
    written.push(write('html', pictureHtml(picture, `${text}\n${machineLine(machine)}`)))
  }
  process.stderr.write(`written: ${written.join(', ')}\n`)
  if (to.json) process.stdout.write(`${JSON.stringify(all)}\n`)
  else process.stdout.write(`${text}\n${machineLine(machine)}\n`)
  for (const problem of problems) process.stderr.write(`bench failed: ${problem}\n`)
  return problems.length === 0 ? 0 : 1
}

function machineLine({ cores, ours, foreign, stolen }: MachineShare): string {
  if (ours === null) return `${cores} cores; who else used them is not known here`
  const noise = (foreign ?? 0) + (stolen ?? 0)
  const verdict = noise > 0.05 ? ': a noisy run, repeat it' : ''
  return `${cores} cores: ${percent(ours)} ours, ${percent(foreign)} of others, ${percent(stolen)} taken by the host${verdict}`
}
