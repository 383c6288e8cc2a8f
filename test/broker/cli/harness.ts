/** The real command line, built once from the sources as they are, in processes and directories of its own. */
import { createHash } from 'node:crypto'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { type ChildProcess, runChild, startChild } from '../../../bench/child-process.ts'
import { until } from '../../until.ts'

export { until }

export interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface RunOptions {
  readonly url?: string
  readonly input?: string | Uint8Array
  /** Standard input goes on behind `input` for as long as the process runs. */
  readonly isInputOpen?: boolean
  /** Descriptors to use instead of pipes. */
  readonly stdin?: number
  readonly stdout?: number
}

const root = resolve(import.meta.dirname, '../../..')
const builds = join(root, 'node_modules/.cache/epochcast-cli')
/** Builds of other sources are kept this long, because another run may be using them. */
const buildsKeptMs = 24 * 3600 * 1000

/** Builds the command unless it has been built from these very sources. */
export async function buildCli(): Promise<string> {
  const target = join(builds, sourceDigest())
  const main = join(target, 'broker/cli/main.js')
  if (existsSync(main)) return main
  mkdirSync(builds, { recursive: true })
  for (const other of readdirSync(builds)) {
    const path = join(builds, other)
    if (Date.now() - statSync(path).mtimeMs > buildsKeptMs) rmSync(path, { recursive: true, force: true })
  }
  const draft = mkdtempSync(join(builds, 'draft-'))
  const tsc = [join(root, 'node_modules/typescript/bin/tsc'), '-p', 'tsconfig.build.json', '--outDir', draft]
  // Types are checked elsewhere: here they are only taken off.
  const flags = ['--noCheck', '--declaration', 'false', '--sourceMap', 'false']
  const { code, stdout, stderr } = await runChild(process.execPath, [...tsc, ...flags], { cwd: root })
  if (code !== 0) throw new Error(`not built (${code}): ${stdout}${stderr}`)
  // The package has texts, which the demo streams.
  copyFileSync(join(root, 'README.md'), join(draft, 'README.md'))
  writeFileSync(join(draft, 'package.json'), '{"name":"epochcast","version":"0.0.0-test","type":"module"}')
  try {
    renameSync(draft, target)
  } catch {
    // Another test file was faster with the same.
    rmSync(draft, { recursive: true, force: true })
  }
  return main
}

function sourceDigest(): string {
  const hash = createHash('sha256').update(readFileSync(join(root, 'tsconfig.build.json')))
  for (const file of sourceFiles()) hash.update(`${file}\n`).update(readFileSync(join(root, file)))
  return hash.digest('hex').slice(0, 16)
}

/** Paths of the sources that are built, relative to the root. */
function sourceFiles(): string[] {
  return ['proto', 'client-sdk', 'broker', 'bench', 'sim'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .sort()
      .map((name) => join(folder, name)),
  )
}

/** A process that goes on until it is stopped. */
export class Running {
  readonly ended: Promise<Ended>
  readonly child: ChildProcess
  stdout = ''
  stderr = ''

  constructor(child: ChildProcess) {
    this.child = child
    child.stdout?.on('data', (chunk: Buffer) => {
      this.stdout += chunk.toString()
    })
    child.stderr?.on('data', (chunk: Buffer) => {
      this.stderr += chunk.toString()
    })
    this.ended = new Promise((resolve) => {
      child.once('close', (code) => resolve({ code, stdout: this.stdout, stderr: this.stderr }))
    })
  }

  async shows(text: string): Promise<void> {
    let isOver = false
    void this.ended.then(() => {
      isOver = true
    })
    await until(() => this.stdout.includes(text) || isOver, `${JSON.stringify(text)} in: ${this.stdout} ${this.stderr}`)
    if (!this.stdout.includes(text))
      throw new Error(`ended without ${JSON.stringify(text)}: ${this.stdout} ${this.stderr}`)
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<Ended> {
    this.child.kill(signal)
    return this.ended
  }
}

/** A directory to work in, and the commands that run there. */
export class TestFolder {
  readonly directory: string
  readonly #main: string
  readonly #running: Running[] = []

  constructor(main: string) {
    this.#main = main
    this.directory = mkdtempSync(join(tmpdir(), 'epochcast-cli-'))
  }

  start(args: readonly string[], options: RunOptions = {}): Running {
    const { EPOCHCAST_URL: _, ...environment } = process.env
    const env = { ...environment, ...(options.url !== undefined && { EPOCHCAST_URL: options.url }) }
    const stdin = options.stdin ?? (options.input === undefined && options.isInputOpen !== true ? 'ignore' : 'pipe')
    const child = startChild(process.execPath, [this.#main, ...args], {
      cwd: this.directory,
      env,
      stdio: [stdin, options.stdout ?? 'pipe', 'pipe'],
    })
    child.stdin?.on('error', () => {})
    if (options.isInputOpen !== true) child.stdin?.end(options.input)
    else if (options.input !== undefined) child.stdin?.write(options.input)
    const running = new Running(child)
    this.#running.push(running)
    return running
  }

  run(args: readonly string[], options: RunOptions = {}): Promise<Ended> {
    return this.start(args, options).ended
  }

  write(name: string, text: string): string {
    writeFileSync(join(this.directory, name), text)
    return name
  }

  async close(): Promise<void> {
    await Promise.all(
      this.#running.map((running) => (running.child.exitCode === null ? running.stop('SIGKILL') : null)),
    )
    rmSync(this.directory, { recursive: true, force: true })
  }
}

/** The first of `count` neighbouring ports that are free, below those that the system gives to clients. */
export async function freePorts(count: number): Promise<number> {
  for (;;) {
    const first = 15_000 + Math.floor(Math.random() * 15_000)
    const ports = Array.from({ length: count }, (_, at) => first + at)
    if ((await Promise.all(ports.map(isFree))).every((free) => free)) return first
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => resolve(true)))
  })
}

/** The JSON lines of an output. */
export function jsonLines(text: string): Record<string, unknown>[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
}

export function lines(text: string): string[] {
  return text.split('\n').slice(0, -1)
}
