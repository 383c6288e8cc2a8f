/** The means of this machine for breaking things (root, mounts, namespaces, a C compiler); a missing one is named. */
import { existsSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { callCommand, endOf, startChild } from '../../bench/child-process.ts'

const insideVariable = 'EPOCHCAST_REAL_INSIDE'

export const isRoot: boolean = process.getuid?.() === 0

export function hasCommand(name: string): boolean {
  const folders = (process.env.PATH ?? '').split(delimiter)
  return folders.some((folder) => folder !== '' && existsSync(join(folder, name)))
}

/** Runs a command of the system. @throws Error with what it said */
export function system(command: string, args: readonly string[]): string {
  const { status, stdout, stderr, error } = callCommand(command, args)
  if (error !== undefined) throw error
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${stderr.trim() || `exit ${status}`}`)
  return stdout
}

/**
 * Namespaces of our own for mounts and for the network, where that is possible: whatever a run leaves behind ends with it,
 * and nothing that it does to the network is seen by anybody else. Runs the same program again inside of them.
 * @returns its exit code, or null where this process is the one that has to do the work
 */
export async function runInside(main: string, args: readonly string[]): Promise<number | null> {
  if (process.env[insideVariable] !== undefined || !isRoot || !hasCommand('unshare')) return null
  const flags = ['--mount', '--net', '--propagation', 'private', '--']
  if (callCommand('unshare', [...flags, 'true']).status !== 0) return null
  const program = [process.execPath, ...process.execArgv, fileURLToPath(main), ...args]
  const child = startChild('unshare', [...flags, ...program], {
    stdio: ['inherit', 'inherit', 'inherit'],
    env: { ...process.env, [insideVariable]: 'yes' },
  })
  return (await endOf(child)).code ?? 1
}

/** Whether mounts and interfaces made here are this run's alone. */
export const isInside: boolean = process.env[insideVariable] !== undefined

/** Loopback does not exist in a new network namespace until it is brought up. */
export function bringLoopbackUp(): void {
  if (isInside) system('ip', ['link', 'set', 'lo', 'up'])
}

/** Why there can be no mounts, or null. */
export function mountsMissing(): string | null {
  if (!isRoot) return 'mounting takes root'
  if (!hasCommand('mount')) return 'there is no mount command'
  return isInside ? null : 'there is no mount namespace of our own'
}

/** Why no file system can be put on an image, or null. */
export function imagesMissing(): string | null {
  const mounts = mountsMissing()
  if (mounts !== null) return mounts
  if (!hasCommand('mkfs.ext4')) return 'there is no mkfs.ext4'
  if (!existsSync('/dev/loop-control')) return 'there are no loop devices'
  return null
}

export function compilerMissing(): string | null {
  return compiler() === null ? 'there is no C compiler' : null
}

function compiler(): string | null {
  return ['cc', 'gcc', 'clang'].find(hasCommand) ?? null
}

/** Compiles one C source on the spot. @returns path of what came out */
export function compile(folder: string, name: string, source: string, flags: readonly string[] = []): string {
  const found = compiler()
  if (found === null) throw new Error('there is no C compiler')
  const [input, output] = [join(folder, `${name}.c`), join(folder, name)]
  writeFileSync(input, source)
  system(found, ['-O1', '-Wall', '-o', output, input, ...flags])
  return output
}
