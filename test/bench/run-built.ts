/** Modules of the package as users run them: compiled, in a process of their own. */
import { join } from 'node:path'
import { type ChildOptions, type ChildProcess, type Ended, endOf, startChild } from '../../bench/child-process.ts'
import { buildCli } from '../broker/cli/harness.ts'

/** @param module path in the package, such as `bench/main.js` */
export async function startBuilt(
  module: string,
  args: readonly string[],
  options: Pick<ChildOptions, 'env'> = {},
): Promise<ChildProcess> {
  const script = join(await buildCli(), '../../..', module)
  return startChild(process.execPath, [script, ...args], { ...options, stdio: ['ignore', 'pipe', 'pipe'] })
}

export async function runBuilt(...call: Parameters<typeof startBuilt>): Promise<Ended> {
  return endOf(await startBuilt(...call))
}
