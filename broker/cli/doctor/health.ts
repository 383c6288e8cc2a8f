/** Whether each topic takes messages, and how many more failures it tolerates. */
import { toleratedFailures } from '../../../proto/configuration.ts'
import { serverIdOf } from '../../../proto/ids.ts'
import type { Finding } from '../../../proto/wire/messages.ts'
import { list } from '../describe.ts'
import type { Health } from '../health.ts'
import type { Check, Line, TopicView } from './check.ts'

export const health: Check = {
  topic: (topic) => {
    const { about, health: found, isMoving } = topic
    const verdict = isMoving ? 'warn' : verdictOf(found, topic)
    const line: Line = { about, verdict, text: found.text, hint: hintFor(found, topic) }
    return [line, ...sequencerLines(topic, found)]
  },
}

/** A topic that lost members fails when the next failure ends it, and is weak while it has some to spare. */
function verdictOf({ state, silent, full, toleratesNow }: Health, { configuration }: TopicView): Finding['verdict'] {
  if (state !== 'open') return 'fail'
  const { mode, members } = configuration
  if (silent.length > 0) return toleratesNow > 0 ? 'warn' : 'fail'
  if (full.length > 0) return 'warn'
  return toleratesNow > 0 || mode === 'single' || toleratedFailures(mode, members.length) > 0 ? 'ok' : 'warn'
}

function hintFor({ silent }: Health, { configuration }: TopicView): string {
  const see = `see: epochcast status ${configuration.topic}`
  return silent.length === 0 ? see : `start ${list(silent)}, or put others in their place; ${see}`
}

/** Messages of a topic in total order wait for its sequencer. */
function sequencerLines({ about, configuration }: TopicView, { silent, state }: Health): Line[] {
  const { sequencer, topic } = configuration
  if (sequencer === undefined || state !== 'open' || !silent.includes(serverIdOf(sequencer))) return []
  const text = `${serverIdOf(sequencer)} puts its messages in order and does not answer: readers in total order wait`
  const hint = `another member takes over by itself when messages wait; at once: epochcast reconfig ${topic}`
  return [{ about, verdict: 'warn', text, hint }]
}
