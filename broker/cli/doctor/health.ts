/** Whether each topic takes messages, and how many more failures it tolerates. */
import { healthOf } from '../health.ts'
import type { Check } from './check.ts'

export const health: Check = {
  topic: ({ about, configuration, replicas }, { servers }) => {
    const { state, text, toleratesNow, full } = healthOf(configuration, replicas, servers)
    const isWell = full.length === 0 && (toleratesNow > 0 || configuration.mode === 'single')
    const verdict = state === 'open' ? (isWell ? 'ok' : 'warn') : 'fail'
    return [{ about, verdict, text, hint: `see: epochcast status ${configuration.topic}` }]
  },
}
