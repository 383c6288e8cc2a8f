/** Servers that are not ours (nats-server, redis-server), as processes that end with the one that started them. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { accessSync, constants, openSync, readFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'

/** Debian puts servers where only root's PATH looks. */
const besidesPath = ['/usr/sbin', '/usr/local/sbin', '/usr/local/bin']
const lastLines = 20

/** Path of a program, or null when it is not installed. `EPOCHCAST_PEERS_PATH` says where to look instead. */
export function findProgram(name: string): string | null {
  const only = process.env.EPOCHCAST_PEERS_PATH
  const folders =
    only === undefined ? [...(process.env.PATH ?? '').split(delimiter), ...besidesPath] : only.split(delimiter)
  for (const folder of folders) {
    const path = join(folder, name)
    try {
      accessSync(path, constants.X_OK)
      return path
    } catch {
      // Not there: the next folder.
    }
  }
  return null
}

/** First number of the form `x.y.z` in what `program --version` says; null when the program is not installed. */
export function versionOf(name: string): string | null {
  const path = findProgram(name)
  if (path === null) return null
  const said = execFileSync(path, ['--version'], { encoding: 'utf8' })
  return /\d+\.\d+\.\d+/.exec(said)?.[0] ?? said.trim()
}

export class PeerProcess {
  readonly #logPath: string
  readonly #child: ChildProcess
  readonly #ended: Promise<unknown>
  #isEnded = false

  /** @param logPath gets what the program says */
  constructor(path: string, args: readonly string[], logPath: string) {
    this.#logPath = logPath
    const log = openSync(logPath, 'a')
    this.#child = spawn(path, args, { stdio: ['ignore', log, log] })
    this.#ended = new Promise((resolve) => {
      this.#child.once('exit', resolve)
      this.#child.once('error', resolve)
    }).then(() => {
      this.#isEnded = true
    })
    leash(this.#child)
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  get isEnded(): boolean {
    return this.#isEnded
  }

  signal(signal: NodeJS.Signals): void {
    if (!this.#isEnded) this.#child.kill(signal)
  }

  /** Ends it as a crash does. */
  async kill(): Promise<void> {
    if (this.#isEnded) return
    this.#child.kill('SIGKILL')
    await this.#ended
  }

  /** The end of what it said, for error messages. */
  lastWords(): string {
    return readFileSync(this.#logPath, 'utf8').trimEnd().split('\n').slice(-lastLines).join('\n')
  }
}

/** A shell that ends the child when this process is gone: it waits on a pipe that only this process holds open. */
function leash(child: ChildProcess): void {
  if (child.pid === undefined) return
  const watcher = spawn('/bin/sh', ['-c', `read -r _; kill -9 ${child.pid}`], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  })
  watcher.unref()
  const handle = watcher.stdin as unknown as { unref?: () => void } | null
  handle?.unref?.()
  watcher.stdin?.on('error', () => {})
  void once(child, 'exit')
    .catch(() => {})
    .then(() => watcher.kill('SIGKILL'))
}
