// Goal and method: see conformance.ts. Redis is a real server.

import { MemoryEngine, MemoryRegisters } from '../../../broker/engines/memory.ts'
import { RedisEngine } from '../../../broker/engines/redis.ts'
import { describeRedis, RedisServer } from '../../peers/redis-server.ts'
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

describeRedis('redis', () => {
  describeEngine('redis', async () => {
    const server = await RedisServer.start()
    return {
      proposer: async (at) => OutsideProposer.start(await RedisEngine.open({ id, url: server.url }), at),
      crash: () => server.kill(),
      recover: () => server.restart(),
      survives: false,
      freeze: async () => server.freeze(),
      thaw: async () => server.thaw(),
      close: () => server.close(),
    }
  })
})
