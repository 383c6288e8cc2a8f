/** Servers that are not ours (nats-server, redis-server), as processes that end with the one that started them. */
import { accessSync, closeSync, constants, openSync, readFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { type ChildProcess, callCommand, startChild } from '../child-process.ts'

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
  const { stdout } = callCommand(path, ['--version'])
  return /\d+\.\d+\.\d+/.exec(stdout)?.[0] ?? stdout.trim()
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
    this.#child = startChild(path, args, { stdio: ['ignore', log, log] })
    closeSync(log)
    this.#ended = new Promise((resolve) => {
      this.#child.once('exit', resolve)
      this.#child.once('error', resolve)
    }).then(() => {
      this.#isEnded = true
    })
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
