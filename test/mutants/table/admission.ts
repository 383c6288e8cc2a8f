/** Planted bugs of who may send what, and of what a table cell says. */
import type { Mutant } from '../mutant.ts'

const tests = ['test/broker/forged.test.ts']
const sender = (number: number, from: string) => `number: ${number},\n    since: 1,\n    from: '${from}',`

/** The permission cell of one message says something else. */
function cell(id: string, title: string, file: string, number: number, is: string, becomes: string): Mutant {
  const edits = [{ file: `proto/wire/messages/${file}.ts`, find: sender(number, is), replace: sender(number, becomes) }]
  return { id, title, edits, caughtBy: ['test'], tests }
}

export const admissionMutants: readonly Mutant[] = [
  cell('M1', 'a client may acknowledge records of the sequencer', 'publish', 2, 'member', 'client'),
  cell('M2', 'a client may report as a wedged member', 'change', 28, 'member', 'client'),
  cell('M3', 'a server that is no member may report as a wedged one', 'change', 28, 'member', 'server'),
  cell('M4', 'a server that is no arbiter may accept for one', 'decide', 42, 'arbiter', 'server'),
  cell('M5', 'a server may wedge under the stake of another', 'change', 27, 'coordinator', 'server'),
  {
    id: 'M6',
    title: 'a server is believed at any address',
    edits: [
      {
        file: 'broker/membership/directory.ts',
        find: 'return this.find(name)?.address === from',
        replace: 'return this.find(name) !== undefined',
      },
    ],
    caughtBy: ['test'],
    tests,
  },
  {
    id: 'M7',
    title: 'a process speaks of another as if of itself',
    edits: [
      {
        file: 'broker/admission.ts',
        find: "'member' in message && message.member.address === from && message.member.name === name",
        replace: "'member' in message && message.member.name === name",
      },
    ],
    caughtBy: ['test'],
    tests,
  },
]
