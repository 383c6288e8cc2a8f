/** The commands of the benchmark, as `npm run bench` and `epochcast bench` take them. */
import { Command } from 'commander'
import { explainFailure } from '../broker/cli/failure.ts'
import { colorsFor } from '../broker/cli/terminal/colors.ts'
import { addCompare } from './commands/compare.ts'
import { addEpochs } from './commands/epochs.ts'
import { addLimit } from './commands/limit.ts'
import { addOrder } from './commands/order.ts'
import { addPublish } from './commands/publish.ts'
import { addReadme } from './commands/readme.ts'
import { addScale } from './commands/scale.ts'
import { addServices } from './commands/services.ts'

const about = `
Every command starts and ends what it needs, on loopback and free ports, and writes its results and pictures to ./bench-results.
What each figure means, and what may be compared with what: bench/README.md.`

/** @param name how it was called */
function createBench(name: string): Command {
  const bench = new Command(name)
    .description('Measures this product, and others beside it, on this machine.')
    .addHelpText('after', about)
    .configureOutput({ outputError: () => {} })
    .exitOverride()
  for (const add of [addPublish, addEpochs, addLimit, addCompare, addOrder, addScale, addServices]) add(bench)
  addReadme(bench, (args) => createBench(name).parseAsync([...args], { from: 'user' }))
  for (const command of bench.commands) command.copyInheritedSettings(bench)
  return bench
}

/** Runs one command; what goes wrong is said on stderr. */
export async function runBench(args: readonly string[], name = 'npm run bench --'): Promise<void> {
  try {
    await createBench(name).parseAsync([...args], { from: 'user' })
  } catch (error) {
    const style = { json: args.includes('--json'), colors: colorsFor(process.stderr), command: name }
    const { exitCode, text } = explainFailure(error, style)
    process.stderr.write(text)
    process.exitCode = exitCode
  }
}
