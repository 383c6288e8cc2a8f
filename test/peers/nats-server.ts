import { natsServerVersion } from '../../bench/peers/nats-server.ts'
import { describeWith } from './require.ts'

export { NatsServers, natsServerVersion } from '../../bench/peers/nats-server.ts'

/** `describe` for tests that start real nats-servers. */
export const describeNats = describeWith('nats', 'nats-server', natsServerVersion())
