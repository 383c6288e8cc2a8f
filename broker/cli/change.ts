/** Carrying out a change of one topic, and telling how it goes. */

import type { ChangeResult, Client, ReconfigureOptions, ServerParts } from '../../client-sdk/index.ts'
import { EpochcastError } from '../../proto/errors.ts'
import type { Context } from './context.ts'
import { configurationJson, idsOf, milliseconds, rounded } from './describe.ts'
import { partsJson } from './parts.ts'

export interface ChangeOutcome {
  readonly result: ChangeResult
  /** Old members that may stop: nothing needs them any more. */
  readonly retirable: readonly string[]
  /** Old members that have other parts. */
  readonly stillNeeded: readonly ServerParts[]
  readonly milliseconds: number
}

const changeTimeoutMs = 60_000

/**
 * @throws EpochcastError what `reconfigure` throws; where the change may go on without this command, the message says so
 */
export async function carryOut(
  context: Context,
  client: Client,
  topic: string,
  options: ReconfigureOptions,
): Promise<ChangeOutcome> {
  const phases = new PhaseLine(context, topic)
  const startedAt = performance.now()
  const limits = context.limits(changeTimeoutMs)
  const onProgress = (progress: { phase: string; detail: string }) => phases.enter(progress.phase, progress.detail)
  const change = client.admin.reconfigure(topic, { ...options, ...limits, onProgress })
  let decided: ChangeResult | null = null
  try {
    decided = await change.decided
    phases.told('decided', decided)
    const result = await change.enabled
    phases.told('enabled', result)
    const [retirable, stillNeeded] = [await change.retirable, await change.stillNeeded]
    return { result, retirable, stillNeeded, milliseconds: performance.now() - startedAt }
  } catch (error) {
    throw stillRunning(error, topic, change.id, decided)
  } finally {
    context.progress.clear()
  }
}

/** Giving up waiting does not end a change. */
function stillRunning(error: unknown, topic: string, id: string, decided: ChangeResult | null): unknown {
  if (!(error instanceof EpochcastError) || (error.code !== 'EC_TIMEOUT' && error.code !== 'EC_ABORTED')) return error
  const state =
    decided === null ? 'is not decided yet and may go on' : `is decided: epoch ${decided.configuration.epoch}`
  const hint = `see: epochcast status ${topic}`
  return new EpochcastError(error.code, `${error.message}; change ${id} ${state}`, { cause: error, hint })
}

/** Phases as they are entered, each with the time since the one before. */
class PhaseLine {
  readonly #context: Context
  readonly #topic: string
  readonly #done: string[] = []
  #phase: string | null = null
  /** What is waited for, where a phase says it. */
  #detail = ''
  #since = performance.now()

  constructor(context: Context, topic: string) {
    this.#context = context
    this.#topic = topic
  }

  enter(phase: string, detail: string): void {
    const now = performance.now()
    const spent = now - this.#since
    if (this.#phase === phase && this.#detail === detail) return
    const isNew = this.#phase !== phase
    this.#detail = detail
    if (!isNew) return this.#show(phase, detail)
    if (this.#phase !== null) this.#done.push(`${this.#phase} ${milliseconds(spent)}`)
    this.#phase = phase
    this.#since = now
    this.#show(phase, detail)
  }

  #show(phase: string, detail: string): void {
    const waits = detail.startsWith('waits for') ? ` ${detail}` : ''
    if (this.#context.forPeople) {
      this.#context.progress.show(() => [...this.#done, `${phase}${waits} …`].join(' · '), { always: true })
    } else this.#context.out.json({ type: 'progress', topic: this.#topic, phase, detail })
  }

  told(type: 'decided' | 'enabled', { changeId, configuration }: ChangeResult): void {
    if (this.#context.forPeople) return
    const { epoch } = configuration
    this.#context.out.json({ type, topic: this.#topic, changeId, epoch, members: idsOf(configuration) })
  }
}

export function outcomeJson({ result, retirable, stillNeeded, milliseconds: took }: ChangeOutcome): object {
  const { changeId, configuration, times } = result
  const milliseconds = rounded(took)
  return {
    type: 'done',
    changeId,
    ...configurationJson(configuration),
    times,
    milliseconds,
    retirable,
    stillNeeded: stillNeeded.map(partsJson),
  }
}
