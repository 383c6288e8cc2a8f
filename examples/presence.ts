/**
 * Presence: who is here, as fast as it can be known. A sign of life is shown on arrival, before it is durable; should it turn out
 * to be lost, it is taken back.
 */
import { pathToFileURL } from 'node:url'
import { type Client, connect, json } from '../client-sdk/index.ts'

interface Sign {
  readonly user: string
  readonly state: 'here' | 'away'
}

/** The list of one viewer. */
export class Presence {
  readonly #states = new Map<string, Sign['state']>()
  /** What was shown early, and what stood there before: to be put back. */
  readonly #early = new Map<string, { readonly user: string; readonly before: Sign['state'] | undefined }>()

  get here(): string[] {
    return [...this.#states].flatMap(([user, state]) => (state === 'here' ? [user] : [])).sort()
  }

  show(id: string, { user, state }: Sign, isEarly: boolean): void {
    if (isEarly) this.#early.set(id, { user, before: this.#states.get(user) })
    this.#states.set(user, state)
  }

  confirm(id: string): void {
    this.#early.delete(id)
  }

  takeBack(id: string): void {
    const early = this.#early.get(id)
    this.#early.delete(id)
    if (early?.before === undefined) this.#states.delete(early?.user ?? '')
    else this.#states.set(early.user, early.before)
  }
}

/** Three people come, one goes. @returns what the viewer saw, line by line */
export async function presence(client: Client, topicName = 'presence'): Promise<string[]> {
  const topic = client.topic(topicName, { codec: json<Sign>() })
  await topic.publish({ user: 'nobody', state: 'away' })
  const list = new Presence()
  const lines: string[] = []
  const coming: Sign[] = [
    { user: 'ada', state: 'here' },
    { user: 'bob', state: 'here' },
    { user: 'eve', state: 'here' },
    { user: 'bob', state: 'away' },
  ]
  const events = topic.subscribe({ from: 'start', durability: 'early', events: true })
  const publishing = (async () => {
    for (const sign of coming) await topic.publish(sign)
    // Everything that was shown early is confirmed or taken back by now.
    await topic.flush()
  })()
  let shown = 0
  for await (const event of events) {
    if (event.type === 'message') {
      list.show(event.message.id, event.message.value, event.message.isEarly)
      shown++
    }
    if (event.type === 'confirmed') list.confirm(event.id)
    if (event.type === 'retracted') list.takeBack(event.id)
    if (event.type !== 'confirmed') lines.push(`here: ${list.here.join(', ')}`)
    if (shown > coming.length) break
  }
  await publishing
  return lines
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  await using client = await connect()
  for (const line of await presence(client)) console.log(line)
}
