// Goal and method: see conformance.ts, on registers in memory.
import { MemoryEngine, MemoryRegisters } from '../../../broker/engines/memory.ts'
import { describeEngine } from './conformance.ts'
import { OutsideProposer } from './outside-proposer.ts'

const id = 'main'

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
