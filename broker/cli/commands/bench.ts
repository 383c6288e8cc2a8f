import type { Command } from 'commander'
import { bad } from '../arguments.ts'

export function addBench(program: Command): void {
  program
    .command('bench')
    .summary('measure this product on this machine, beside others')
    .description(
      'Throughput, latency, epoch changes, the limit of the machine, NATS and Redis: see epochcast bench --help.',
    )
    .argument('[args...]', 'command and its options')
    .helpOption(false)
    .allowUnknownOption()
    .action(bench)
}

async function bench(_args: unknown, _options: unknown, command: Command): Promise<void> {
  if (command.optsWithGlobals().timeout !== undefined)
    throw bad('--timeout is not for bench', 'its commands take --seconds: see epochcast bench --help')
  const before = process.argv.slice(2, process.argv.indexOf('bench'))
  if (before.length > 0)
    throw bad(`${before.join(' ')} stands before bench`, 'its options are its own, and stand behind it')
  // Its options are its own: they are taken as they were typed.
  const args = process.argv.slice(process.argv.indexOf('bench') + 1)
  const { runBench } = await import('../../../bench/command-line.ts')
  await runBench(args, 'epochcast bench')
  // What a failed run left open must not keep it.
  process.exit()
}
