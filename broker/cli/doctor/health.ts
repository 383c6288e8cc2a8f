/** Whether each topic takes messages, and how many more failures it tolerates. */
import { healthOf } from '../health.ts'
import type { Check } from './check.ts'

export const health: Check = {
  topic: ({ about, configuration, replicas }) => {
    const { state, text, toleratesNow } = healthOf(configuration, replicas)
    const verdict = state === 'open' ? (toleratesNow > 0 || configuration.mode === 'single' ? 'ok' : 'warn') : 'fail'
    return [{ about, verdict, text, hint: `see: epochcast status ${configuration.topic}` }]
  },
}
