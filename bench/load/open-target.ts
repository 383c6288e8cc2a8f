import { EpochcastTarget } from './epochcast-target.ts'
import type { Target, TargetSpec } from './target.ts'

/** @throws Error when it cannot be reached */
export async function openTarget(spec: TargetSpec): Promise<Target> {
  switch (spec.kind) {
    case 'epochcast':
      return EpochcastTarget.open(spec)
    case 'nats':
      return (await import('../rivals/nats-target.ts')).NatsTarget.open(spec)
    case 'redis':
      return (await import('../rivals/redis-target.ts')).RedisTarget.open(spec)
  }
}
