/** Runs the model checker Spin, where it and a C compiler are installed. */
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { callCommand, runChild } from '../../bench/child-process.ts'
import type { Variant } from './variants.ts'

const model = 'epoch-change.pml'
const memoryMegabytes = 3000
/** For what has no end within reach: about ten million states. */
const boundedMegabytes = 1500

export interface Checked {
  readonly states: number
  /** The assertion that does not hold, or null. */
  readonly broken: string | null
  /** Every state was looked at. */
  readonly complete: boolean
}

/** Null when the model can be checked here, else why not. */
export function missingTool(): string | null {
  for (const [tool, option] of [
    ['spin', '-V'],
    ['gcc', '--version'],
  ] as const) {
    if (callCommand(tool, [option]).status !== 0) return `${tool} is not installed`
  }
  return null
}

export async function checkModel(variant: Variant, timeoutMs: number): Promise<Checked> {
  const folder = mkdtempSync(join(tmpdir(), 'epochcast-model-'))
  const run = async (tool: string, args: readonly string[]): Promise<string> => {
    const { code, signal, stdout, stderr } = await runChild(tool, args, { cwd: folder, timeout: timeoutMs })
    if (code !== 0) throw new Error(`${tool} ended with ${signal ?? code}: ${stdout}${stderr}`)
    return stdout
  }
  try {
    copyFileSync(join(import.meta.dirname, model), join(folder, model))
    const defines = Object.entries(variant.defines).map(([name, value]) => `-D${name}=${value}`)
    await run('spin', [...defines, '-a', model])
    // A search that is nearly over when it is compiled is not worth optimising.
    const level = variant.nightly === true ? '-O2' : '-O1'
    const memory = variant.bounded === true ? boundedMegabytes : memoryMegabytes
    await run('gcc', [level, '-w', '-DSAFETY', '-DCOLLAPSE', `-DMEMLIM=${memory}`, '-o', 'pan', 'pan.c'])
    return judge(await run(join(folder, 'pan'), ['-m2000000', '-n']))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function judge(said: string): Checked {
  const states = Number(/(\d+(?:\.\d+e\+\d+)?) states, stored/.exec(said)?.[1] ?? 0)
  const broken = /assertion violated (.*?)(?: \(at depth|\n)/.exec(said)?.[1] ?? null
  const complete = /errors: 0/.test(said) && !/out of memory|search depth too small|Search not completed/i.test(said)
  return { states, broken, complete }
}
