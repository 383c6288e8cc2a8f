// Goal and method: see conformance.ts.
import { MemoryEngine, MemoryRegisters } from '../../../broker/engines/memory.ts'
import { ArbiterGroup } from './arbiter-group.ts'
import { describeEngine } from './conformance.ts'
import { OutsideProposer } from './outside-proposer.ts'

const id = 'main'

describeEngine('built in', async () => new ArbiterGroup())

describeEngine('memory', async () => {
  const registers = new MemoryRegisters()
  const away = async () => {
    registers.isDown = true
  }
  const back = async () => {
    registers.isDown = false
  }
  return {
    proposer: (at) => OutsideProposer.start(new MemoryEngine(id, registers), at),
    crash: away,
    recover: back,
    survives: false,
    freeze: away,
    thaw: back,
    close: async () => {},
  }
})
