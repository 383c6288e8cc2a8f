/** Parts of the nightly run that are commands of their own: each says in one JSON line what it did. */
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { startChild } from '../../bench/child-process.ts'
import { type Row, row, skipped } from './task.ts'

type Report = Readonly<Record<string, unknown>>

/** The folder with package.json, from the sources as well as from dist/. */
export const project: string = (() => {
  let folder = dirname(fileURLToPath(import.meta.url))
  while (!existsSync(join(folder, 'package.json')) && folder !== dirname(folder)) folder = dirname(folder)
  return folder
})()

const killGraceSeconds = 30

/** Runs one of the scripts of the package; ends it when its time is over. @returns its last line as JSON, null without one */
export async function runScript(
  script: string,
  args: readonly string[],
  seconds: number,
  environment: Readonly<Record<string, string>> = {},
): Promise<{ readonly code: number | null; readonly report: Report | null; readonly words: string }> {
  const child = startChild('npm', ['run', '-s', script, '--', ...args], {
    cwd: project,
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
    isGroup: true,
  })
  let [stdout, stderr] = ['', '']
  child.stdout?.on('data', (chunk: Buffer) => {
    stdout += chunk.toString()
  })
  child.stderr?.on('data', (chunk: Buffer) => {
    stderr = (stderr + chunk.toString()).slice(-20_000)
  })
  // Its whole group: a script has children.
  const timer = setTimeout(() => process.kill(-(child.pid ?? 0), 'SIGKILL'), (seconds + killGraceSeconds) * 1000)
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve))
  clearTimeout(timer)
  return { code, report: lastJson(stdout), words: stderr.trim() || stdout.trim() }
}

export function hasScript(name: string): boolean {
  const { scripts } = JSON.parse(readFileSync(join(project, 'package.json'), 'utf8')) as { scripts: Report }
  return scripts[name] !== undefined
}

/** A command of the simulator: fails unless it says that it did something and found nothing. */
export async function simulate(
  what: string,
  args: readonly string[],
  seconds: number,
  describe: (report: Report) => Partial<Row>,
): Promise<readonly Row[]> {
  if (!hasScript('sim')) return [skipped(what, 'there is no simulator in this package')]
  const { code, report, words } = await runScript('sim', [...args, '--json'], seconds)
  if (report === null)
    return [row(what, { isReached: false, violations: [`no report (exit ${code}): ${tail(words)}`] })]
  const violations = code === 0 ? [] : [`exit ${code}: ${tail(words)}`]
  return [row(what, { violations, ...describe(report) })]
}

export function numberOf(report: Report, key: string): number {
  const value = report[key]
  return typeof value === 'number' ? value : 0
}

export function tail(text: string): string {
  return text.split('\n').slice(-12).join('\n')
}

function lastJson(text: string): Report | null {
  for (const line of text.trimEnd().split('\n').reverse()) {
    try {
      const value: unknown = JSON.parse(line)
      if (typeof value === 'object' && value !== null) return value as Report
    } catch {
      // Not that line.
    }
  }
  return null
}
