import { redisServerVersion } from '../../bench/peers/redis-server.ts'
import { describeWith } from './require.ts'

export { RedisServer } from '../../bench/peers/redis-server.ts'

/** `describe` for tests that start a real redis-server. */
export const describeRedis = describeWith('redis', 'redis-server', redisServerVersion())
