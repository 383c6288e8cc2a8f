/**
 * The door through which benchmarks, demo, simulator and tests start processes. A child ends with the process that started it,
 * however that one ends: also by SIGKILL, and also before the child has loaded anything.
 *
 *     parent --pipe--> watcher (a shell that reads)          the pipe ends without a word: SIGKILL to the child
 *        `--spawn----> a shell that starts the watcher, and then becomes the program
 *
 * The parent alone holds the writing end of the pipe, from before the child exists: there is no moment at which it could die unnoticed.
 */
import { type ChildProcess, type SpawnOptions, type SpawnSyncReturns, spawn, spawnSync } from 'node:child_process'
import type { Socket } from 'node:net'

export type { ChildProcess }

export interface ChildOptions
  extends Pick<SpawnOptions, 'cwd' | 'detached' | 'env' | 'serialization' | 'signal' | 'timeout'> {
  /** Streams of the child, as for `spawn`; default: pipes for all three. */
  readonly stdio?: readonly Stream[]
  /** The whole process group ends with the parent: for a `detached` program that starts programs itself. */
  readonly isGroup?: boolean
}

type Stream = 'pipe' | 'ignore' | 'inherit' | 'ipc' | number

export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

const shell = '/bin/sh'
const pipes: readonly Stream[] = ['pipe', 'pipe', 'pipe']
/** The parent writes this line to the watcher of a child that has ended; the watcher then kills nothing. */
const release = '\n'

/** Starts a program. Its pid is that of the child, as with `spawn`; a program that does not exist ends with code 127. */
export function startChild(command: string, args: readonly string[], options: ChildOptions = {}): ChildProcess {
  const { stdio = pipes, isGroup = false, ...others } = options
  const watched = stdio.length
  const script = scriptOf(watched, isGroup)
  const child = spawn(shell, ['-c', script, shell, command, ...args], { ...others, stdio: [...stdio, 'pipe'] })
  const watcher = child.stdio[watched] as Socket | null | undefined
  // A watcher that was killed takes no word.
  watcher?.on('error', () => {})
  // The child keeps this process running, its watcher does not.
  watcher?.resume().unref()
  child.once('exit', () => watcher?.ref().end(release))
  return child
}

/** Starts a module of this repository with the loaders of this process. @param flags further flags of Node */
export function startModule(
  path: string,
  args: readonly string[],
  options: ChildOptions = {},
  flags: readonly string[] = [],
) {
  // The debugger's port is that of this process alone.
  const loaders = process.execArgv.filter((flag) => !flag.startsWith('--inspect'))
  return startChild(process.execPath, [...loaders, ...flags, path, ...args], options)
}

/** Runs a program to its end. Without `input` its standard input is empty. */
export async function runChild(
  command: string,
  args: readonly string[],
  { input, ...options }: Omit<ChildOptions, 'stdio'> & { readonly input?: string | Uint8Array } = {},
): Promise<Ended> {
  const child = startChild(command, args, {
    ...options,
    stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
  })
  // The program need not read its input.
  child.stdin?.on('error', () => {})
  child.stdin?.end(input)
  return endOf(child)
}

/** The output of a child, as far as its streams are pipes, and its exit status; resolves when it has ended. */
export function endOf(child: ChildProcess): Promise<Ended> {
  const [stdout, stderr]: [Buffer[], Buffer[]] = [[], []]
  child.stdout?.on('data', (part: Buffer) => stdout.push(part))
  child.stderr?.on('data', (part: Buffer) => stderr.push(part))
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => {
      resolve({ code, signal, stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString() })
    })
  })
}

/** Runs a command of the system that ends by itself within moments; this process stands still meanwhile. */
export function callCommand(command: string, args: readonly string[]): SpawnSyncReturns<string> {
  return spawnSync(command, [...args], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
}

/**
 * @param watched number of the stream that ends with the parent
 *
 * The watcher is a shell of its own, so that no list of processes shows the program twice. It ignores the signals that a terminal
 * sends to everybody, and holds none of the child's streams, whose ends the parent waits for.
 */
function scriptOf(watched: number, isGroup: boolean): string {
  const others = Array.from({ length: watched - 3 }, (_, at) => ` ${at + 3}<&-`).join('')
  const target = isGroup ? '-$1' : '$1'
  const watch = `read -r _ <&${watched} || kill -s KILL -- ${target}`
  const streams = `</dev/null >/dev/null 2>&1${others}`
  return `(trap '' HUP INT QUIT TERM; exec ${shell} -c '${watch}' watcher $$ ${streams}) & exec "$@" ${watched}<&-`
}
