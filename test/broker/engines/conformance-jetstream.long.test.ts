// Goal and method: see conformance.ts, on real servers: one, and a cluster of three.
import { JetStreamEngine } from '../../../broker/engines/jetstream.ts'
import { describeNats, NatsServers } from '../../peers/nats-server.ts'
import { describeEngine, type EngineUnderTest } from './conformance.ts'
import { OutsideProposer } from './outside-proposer.ts'

const id = 'main'

describeNats('jetstream', () => {
  for (const count of [1, 3] as const) describeEngine(`jetstream on ${count}`, () => jetStreamOn(count))
})

/** Of three, the one that leads the stream is ended or frozen. */
async function jetStreamOn(count: 1 | 3): Promise<EngineUnderTest> {
  const servers = await NatsServers.start({ count })
  let victim = 'n1'
  const choose = async () => {
    if (count === 3) victim = await servers.untilLeader('EPOCHCAST')
  }
  return {
    proposer: (at) => OutsideProposer.start(new JetStreamEngine({ id, servers: servers.addresses }), at),
    crash: async () => {
      await choose()
      await servers.kill(victim)
    },
    recover: () => servers.restart(victim),
    survives: count === 3,
    freeze: async () => {
      await choose()
      servers.freeze(victim)
    },
    thaw: async () => servers.thaw(victim),
    close: () => servers.close(),
  }
}
