/** I11: what is given is what was published, once. I12: an Add belongs to the epoch in which it was sent, for ever. */
import { isSystemPublisher, type PublisherId } from '../../proto/ids.ts'
import type { Invocation } from './history.ts'
import { epochOf } from './history.ts'
import type { Broken, Indexed } from './indexed.ts'

export function checkIntegrity(indexed: Indexed, broken: Broken): void {
  const { history, invocations, hasSent, decisions } = indexed
  const published = new Map<string, Invocation>()
  const valuesById = new Map<string, string>()
  /** Last sequence that was sent, by topic, epoch and publisher. */
  const sentTo = new Map<string, number>()
  const given = (topic: string, id: string, value: string | undefined, i: number, who: string) => {
    if (value === undefined) return
    const key = `${topic} ${id}`
    const known = valuesById.get(key)
    if (known !== undefined && known !== value)
      broken('I11', i, `${who} was given ${id} as ${value}, elsewhere ${known}`)
    else if (known === undefined) valuesById.set(key, value)
    const source = published.get(value)
    if (source === undefined || source.topic !== topic) broken('I11', i, `${who} was given ${value}, which nobody sent`)
    else if (hasSent && known === undefined) broken('I11', i, `${who} was given ${id}, which nobody sent under that id`)
  }
  for (const event of history) {
    switch (event.kind) {
      case 'inv':
        if (event.f === 'add' && event.value !== undefined) published.set(event.value, event)
        break
      case 'sent': {
        for (const [at, value] of event.values.entries()) {
          const id = `${event.epoch}-${event.pub}-${event.first + at}`
          const known = valuesById.get(`${event.topic} ${id}`)
          if (known !== undefined && known !== value)
            broken('I11', event.i, `${id} was sent as ${known} and as ${value}`)
          valuesById.set(`${event.topic} ${id}`, value)
          const source = published.get(value)
          if (source !== undefined && event.epoch < source.epoch)
            broken(
              'I12',
              event.i,
              `${value} is sent in epoch ${event.epoch}, and its client was in ${source.epoch} already`,
            )
        }
        const key = `${event.topic} ${event.epoch} ${event.pub}`
        sentTo.set(key, Math.max(sentTo.get(key) ?? 0, event.last))
        break
      }
      case 'dlv':
        given(event.topic, event.id, event.value, event.i, `subscription ${event.sub}`)
        break
      case 'stored':
      case 'staged':
        // Records of the system are made where they are stored.
        if (
          hasSent &&
          !isSystemPublisher(event.pub as PublisherId) &&
          event.last > (sentTo.get(`${event.topic} ${event.epoch} ${event.pub}`) ?? 0)
        )
          broken(
            'I12',
            event.i,
            `${event.srv} stores ${event.epoch}-${event.pub}-${event.last}, never sent in that epoch`,
          )
        break
      case 'ok': {
        const invocation = invocations.get(event.op)
        if (invocation === undefined) break
        if (event.f === 'add') {
          if (epochOf(event.id) < invocation.epoch)
            broken('I12', event.i, `${event.id} is acknowledged to an Add of epoch ${invocation.epoch}`)
          given(invocation.topic, event.id, invocation.value, event.i, `Add ${event.op}`)
        }
        if (event.f !== 'get') break
        const who = `Get ${event.op}`
        for (const [at, id] of event.ids.entries()) given(invocation.topic, id, event.values[at], event.i, who)
        if (new Set(event.ids).size < event.ids.length) broken('I11', event.i, `${who} returns an id twice`)
        else if (new Set(event.values).size < event.values.length)
          broken('I11', event.i, `${who} returns a message twice`)
        const beyond = event.ids.find((id) => epochOf(id) > event.epoch)
        if (beyond !== undefined) broken('I11', event.i, `${who} in epoch ${event.epoch} returns ${beyond}`)
        break
      }
      default:
    }
  }
  if (!hasSent) return
  for (const { rc, topic, epoch, closing, i } of decisions.values()) {
    for (const [pub, end] of Object.entries(closing)) {
      if (!isSystemPublisher(pub as PublisherId) && end > (sentTo.get(`${topic} ${epoch} ${pub}`) ?? 0))
        broken('I6', i, `the closing set of ${rc} holds ${epoch}-${pub}-${end}, which nobody sent`)
    }
  }
}
