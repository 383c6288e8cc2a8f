/**
 * `npm run real`: servers as real processes, killed, stopped, cut from power and from each other, on failing disks, under load;
 * then everything that clients saw is judged. Exit status 0 only when nothing was lost.
 */
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { faultClasses } from './faults/index.ts'
import { type KillAllReport, killAllAgainAndAgain } from './kill-all/run.ts'
import { kinds } from './kill-all/verdict.ts'
import { parseOptions, type RealOptions, usage } from './options.ts'
import { bringLoopbackUp, runInside } from './platform.ts'
import { type ClassResult, runClass } from './run.ts'

async function main(): Promise<number> {
  const args = process.argv.slice(2)
  const options = parseOptions(
    args,
    faultClasses.map(({ name }) => name),
  )
  if (options === 'help') {
    process.stdout.write(usage(faultClasses))
    return 0
  }
  if ('problem' in options) {
    process.stderr.write(`${options.problem}\n\n${usage(faultClasses)}`)
    return 2
  }
  const inside = await runInside(import.meta.url, args)
  if (inside !== null) return inside
  bringLoopbackUp()
  const folder = mkdtempSync(
    join(options.folder ?? (existsSync('/dev/shm') ? '/dev/shm' : tmpdir()), 'epochcast-real-'),
  )
  const deadline = performance.now() + options.deadlineSeconds * 1000
  if (options.killAll > 0) return killAll(options, folder, deadline)
  const results: ClassResult[] = []
  for (const one of faultClasses) {
    const asked = options.counts.get(one.name)
    const planned = asked === undefined || asked < 0 ? Math.max(one.usual * options.times, asked ?? 0) : asked
    if (asked === undefined && (options.counts.size > 0 || one.usual === 0)) continue
    const { seed, keep } = options
    results.push(await runClass(one, Math.max(1, planned), { folder, seed, keep, deadline, progress }))
  }
  const isWell = results.every((result) => result.violations.length === 0)
  const isRun = results.some((result) => result.done > 0)
  if (isWell && !options.keep) rmSync(folder, { recursive: true, force: true })
  clearProgress()
  process.stdout.write(options.json ? `${jsonLine(results, options.seed)}\n` : table(results))
  for (const { name, violations, evidence } of results) {
    for (const violation of violations) process.stderr.write(`${name}: ${violation}\n`)
    for (const path of evidence) process.stderr.write(`${name}: kept in ${path}\n`)
  }
  if (!isWell) process.stderr.write(`again: npm run real -- --seed ${options.seed} …\n`)
  return isWell ? (isRun ? 0 : 3) : 1
}

async function killAll(options: RealOptions, folder: string, deadline: number): Promise<number> {
  const { killAll: cycles, burners, seed, keep } = options
  const { descriptions, ...report } = await killAllAgainAndAgain({ cycles, burners, seed, folder, deadline, progress })
  clearProgress()
  const isWell = descriptions.length === 0
  if (isWell && !keep) rmSync(folder, { recursive: true, force: true })
  process.stdout.write(`${options.json ? JSON.stringify(report) : killAllText(report)}\n`)
  for (const description of descriptions) process.stderr.write(`${description}\n`)
  if (!isWell) process.stderr.write(`kept in ${folder}\nagain: npm run real -- --kill-all ${cycles} --seed ${seed}\n`)
  return isWell ? (report.cycles > 0 ? 0 : 3) : 1
}

function killAllText({ cycles, acked, recoveryMs, ...rest }: Omit<KillAllReport, 'descriptions'>): string {
  const counts = kinds.map((kind) => `${rest[kind]} ${kind}`).join(', ')
  return `${cycles} times all servers killed, ${acked} acknowledged: ${counts}; recovery ${recoveryMs.p50} ms, at most ${recoveryMs.max} ms`
}

let shownAt = 0

function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`)
  else if (performance.now() - shownAt > 10_000) {
    shownAt = performance.now()
    process.stderr.write(`${text}\n`)
  }
}

function clearProgress(): void {
  if (process.stderr.isTTY) process.stderr.write('\r\x1b[K')
}

function jsonLine(results: readonly ClassResult[], seed: number): string {
  const of = (name: string) => results.find((result) => result.name === name)?.done ?? 0
  const sum = (value: (result: ClassResult) => number) => results.reduce((total, result) => total + value(result), 0)
  return JSON.stringify({
    kills: of('kill'),
    powerCuts: of('power-cut-one') + of('power-cut-all'),
    acknowledged: sum((result) => result.acknowledged),
    observed: sum((result) => result.observed),
    violations: sum((result) => result.violations.length),
    skipped: results.flatMap(({ name, skipped }) => (skipped === null ? [] : [{ name, why: skipped }])),
    seconds: Math.round(sum((result) => result.seconds)),
    seed,
    classes: results.map(({ violations, evidence, seconds, ...rest }) => ({
      ...rest,
      seconds: Math.round(seconds),
      violations: violations.length,
      ...(evidence.length > 0 && { evidence }),
    })),
  })
}

function table(results: readonly ClassResult[]): string {
  const rows = results.map(({ name, done, planned, skipped, acknowledged, violations, seconds, reached }) => {
    const what = skipped === null ? `${done} of ${planned}` : `skipped: ${skipped}`
    const more = Object.entries(reached).map(([text, count]) => `${text} ${count}`)
    const held = skipped !== null ? '' : violations.length === 0 ? 'held' : `${violations.length} VIOLATIONS`
    return [name, what, held, `${acknowledged} acknowledged`, `${Math.round(seconds)} s`, more.join(', ')]
  })
  const widths = [0, 1, 2, 3, 4].map((at) => Math.max(...rows.map((row) => (row[at] ?? '').length)))
  return `${rows
    .map((row) =>
      row
        .map((cell, at) => cell.padEnd(widths[at] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')}\n`
}

process.exitCode = await main()
