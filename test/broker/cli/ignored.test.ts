// Goal: an option that would do nothing is refused, and the command does not begin. Method: the command line in this process, with
// options that do not go together; nothing listens where it would connect to.
import { describe, expect, it } from 'vitest'
import { createProgram } from '../../../broker/cli/program.ts'

const run = (...words: string[]) => createProgram('0.0.0').parseAsync(['node', 'epochcast', ...words])
const nats = 'nats://127.0.0.1:1'
const url = ['--url', 'epochcast://127.0.0.1:1']

// Each command listens for the loss of its output.
process.stdout.setMaxListeners(0)

describe('an option that would be ignored is refused', () => {
  it.each([
    [...url, 'serve', '--id', 'a', '--data', '/nowhere', '--listen', '127.0.0.1:1'],
    [...url, 'dev', '--data', '/nowhere'],
    [...url, 'sim', '--seeds', '1'],
    ['serve', '--id', 'a', '--data', '/nowhere', '--nats', nats, '--insecure'],
    ['serve', '--id', 'a', '--data', '/nowhere', '--nats', nats, '--advertise', 'a:1'],
    [...url, 'bootstrap', '127.0.0.1:2'],
    ['--url', nats, 'bootstrap', '127.0.0.1:2'],
    [...url, 'bootstrap', 'nats/a'],
    ['sub', 't', '--json', '--format', '%v'],
    ['get', 't', '--json', '--format', '%v'],
    ['request', 't', 'm', '--json', '--format', '%v'],
    ['topics', 'create', 't', '--members', 'a,b', '--size', '3'],
    ['reconfig', 't', '--members', 'a,b', '--size', '3'],
    ['bridge', 'nats', '--from-topic', 't', '--to-subject', 's', '--queue', 'q'],
    ['bridge', 'nats', '--subject', 's', '--topic', 't', '--state', 'f'],
    ['bridge', 'nats', '--subject', 's', '--topic', 't', '--from', 'start'],
    ['sim', '--seed', '1', '--seeds', '5'],
    ['sim', '--seed', '1', '--replay', 'f'],
    ['sim', '--replay', 'f', '--without', 'N1'],
    ['sim', '--seeds', '1', '--trace'],
    ['sim', '--only', '1'],
    ['sim', '--mutants', '--seed', '1'],
    ['--json', 'bench', 'publish'],
  ])('%s %s %s %s %s %s', async (...words) => {
    const argv = process.argv
    process.argv = ['node', 'epochcast', ...words]
    try {
      await expect(run(...words)).rejects.toMatchObject({ code: 'EC_BAD_ARGUMENT' })
    } finally {
      process.argv = argv
    }
  })
})

it.each([
  ['serve', '--id', 'a', '--listen', '127.0.0.1:1', '--data', ''],
  ['serve', '--id', 'a', '--config', ''],
  ['dev', '--data', ''],
  ['adopt', '--data', ''],
  ['adopt', '--data', import.meta.filename],
  ['bridge', 'nats', '--from-topic', 't', '--to-subject', 's', '--state', '/nowhere/at/all'],
])('a path that is none is refused: %s %s %s %s %s', async (...words) => {
  await expect(run(...words)).rejects.toMatchObject({ code: 'EC_BAD_ARGUMENT' })
})
