import type { Command } from 'commander'
import { EpochcastError } from '../../proto/errors.ts'

export function addServices(parent: Command): void {
  parent
    .command('services')
    .summary('replicated services (this version has none)')
    .action(() => {
      throw new EpochcastError(
        'EC_BAD_ARGUMENT',
        'this version has no services but topics: there is nothing to measure',
        {
          hint: 'topics are measured by publish, epochs, order and scale',
        },
      )
    })
}
