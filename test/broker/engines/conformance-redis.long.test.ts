// Goal and method: see conformance.ts, on a real Redis server.
import { RedisEngine } from '../../../broker/engines/redis.ts'
import { describeRedis, RedisServer } from '../../peers/redis-server.ts'
import { describeEngine } from './conformance.ts'
import { OutsideProposer } from './outside-proposer.ts'

const id = 'main'

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
