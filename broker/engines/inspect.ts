/** One look at an engine from here, for people: what `doctor` and `bootstrap` show. */
import { setTimeout as sleep } from 'node:timers/promises'
import { EpochcastError } from '../../proto/errors.ts'
import { type EngineClient, EngineDistrust, type EngineReport } from './client.ts'
import { type EngineConfig, openEngine } from './open.ts'

const pauseMs = 100

/**
 * Waits until it answers, or says why not.
 * @returns a report with a finding that fails where it does not answer, or may not be relied on
 */
export async function inspectEngine(config: EngineConfig, timeoutMs: number): Promise<EngineReport> {
  let client: EngineClient | null = null
  try {
    client = await openEngine(config)
    return await within(client, timeoutMs)
  } catch (error) {
    if (error instanceof EngineDistrust) return { instance: '', findings: error.findings }
    if (!(error instanceof Error)) throw error
    const hint = error instanceof EpochcastError ? error.hint : undefined
    const text = `it does not answer: ${error.message}`
    return { instance: '', findings: [{ verdict: 'fail', text, ...(hint !== undefined && { hint }) }] }
  } finally {
    await client?.close()
  }
}

/** @throws what the last try threw */
async function within(client: EngineClient, timeoutMs: number): Promise<EngineReport> {
  const deadline = performance.now() + timeoutMs
  for (;;) {
    try {
      const late = sleep(Math.max(1, deadline - performance.now()), null, { ref: false })
      const report = await Promise.race([client.check(), late])
      if (report !== null) return report
      throw new Error(`no answer within ${timeoutMs} ms`)
    } catch (error) {
      if (error instanceof EngineDistrust || performance.now() + pauseMs > deadline) throw error
      await sleep(pauseMs)
    }
  }
}
