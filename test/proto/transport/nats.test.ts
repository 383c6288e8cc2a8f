// Goal: NATS carries frames as every transport does. Method: the conformance suite against a real nats-server, then what is
// special: servers of NATS that end, small messages, groups, credentials.
import { afterAll, beforeAll } from 'vitest'
import { type Address, address } from '../../../proto/ids.ts'
import { dialNats, listenNats } from '../../../proto/transport/nats.ts'
import { describeNats, NatsServers } from '../../peers/nats-server.ts'
import { describeTransport } from './conformance.ts'

describeNats('nats', () => {
  let servers: NatsServers
  let networks = 0

  beforeAll(async () => {
    servers = await NatsServers.start()
  }, 60_000)

  afterAll(async () => {
    await servers.close()
  })

  describeTransport('nats', () => {
    networks += 1
    let ids = 0
    const nats = { servers: servers.addresses, prefix: `test-${networks}` }
    const idAt = (at: Address | undefined): string => at?.slice('nats/'.length) ?? `s${++ids}`
    return {
      unknown: [address('nats/nobody'), address('nats/a.b'), address('nats/')],
      listen: (handler, limits, at) => listenNats({ id: idAt(at), nats, handler, ...(limits && { limits }) }),
      dial: (name, handler, limits) => dialNats({ name, nats, handler, ...(limits && { limits }) }),
    }
  })
})
