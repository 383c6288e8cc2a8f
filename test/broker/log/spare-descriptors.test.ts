// Goal: connections never keep a log from its files. Method: a process with few descriptors that uses up all of them but those held.
import { expect, it } from 'vitest'
import { runChild } from '../../../bench/child-process.ts'

const program = `
  import { closeSync, openSync } from 'node:fs'
  import { SpareDescriptors } from './broker/log/spare-descriptors.ts'
  const descriptors = new SpareDescriptors()
  descriptors.hold(5)
  const taken = []
  const useUp = () => { try { for (;;) taken.push(openSync('/dev/null', 'r')) } catch (error) { console.log(error.code) } }
  useUp()
  const own = []
  for (let count = 0; count < 5; count++) own.push(await descriptors.open('/dev/null', 'r'))
  console.log(own.length)
  useUp()
  console.log(await descriptors.open('/dev/null', 'r').catch((error) => error.code))
  for (const fd of own) { closeSync(fd); descriptors.closed() }
  useUp()
  await descriptors.open('/dev/null', 'r')
  console.log('again')
`

it.skipIf(process.platform === 'win32')(
  'opens as many files as it holds descriptors for, when none is left',
  async () => {
    const script = 'ulimit -n 100 && exec "$0" --import tsx --input-type=module -e "$1"'
    const { stdout } = await runChild('sh', ['-c', script, process.execPath, program])
    expect(stdout.trim().split('\n')).toEqual(['EMFILE', '5', 'EMFILE', 'EMFILE', 'EMFILE', 'again'])
  },
)
