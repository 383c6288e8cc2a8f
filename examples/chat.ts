/**
 * A chat in two rooms that are read together. Whoever has read a question answers in another room; nobody is shown the answer
 * before the question, because the answer says what its writer had read.
 */
import { pathToFileURL } from 'node:url'
import { type Client, connect, EpochcastError, json } from '../client-sdk/index.ts'

interface Line {
  readonly by: string
  readonly text: string
}

const questions = ['How are you?', 'Is it raining?', 'Shall we go?']

/**
 * @param clients of the one who asks, the one who answers and the one who reads both rooms
 * @returns what the reader was shown
 */
export async function chat(clients: readonly [Client, Client, Client], prefix = 'chat'): Promise<string[]> {
  const [asking, answering, reading] = clients
  const rooms = [`${prefix}.hall`, `${prefix}.kitchen`] as const
  for (const room of rooms) await createCausal(asking, room)
  const [hall, kitchen] = rooms
  const room = (client: Client, name: string) => client.topic(name, { codec: json<Line>() })

  const begun = await Promise.all(rooms.map(async (name) => (await room(reading, name).get()).cursor))
  const stream = reading.together(
    rooms.map((name) => room(reading, name)),
    { from: Object.fromEntries(rooms.map((name, at) => [name, begun[at] ?? ''])) },
  )
  const heard = room(answering, hall).subscribe({ from: begun[0] ?? 'start', order: 'causal' })
  const replying = (async () => {
    let count = 0
    for await (const { value } of heard) {
      await room(answering, kitchen).publish({ by: 'bob', text: `to "${value.text}": yes` })
      if (++count === questions.length) break
    }
  })()
  for (const text of questions) await room(asking, hall).publish({ by: 'ada', text })

  const shown: string[] = []
  for await (const event of stream) {
    if (event.type === 'message') shown.push(`${event.topic} ${event.message.value.by}: ${event.message.value.text}`)
    if (shown.length === questions.length * 2) break
  }
  await replying
  return shown
}

async function createCausal(client: Client, name: string): Promise<void> {
  try {
    await client.admin.createTopic(name, { order: 'causal' })
  } catch (error) {
    if (!(error instanceof EpochcastError) || error.code !== 'EC_TOPIC_EXISTS') throw error
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  await using ada = await connect()
  await using bob = await connect()
  await using eve = await connect()
  for (const line of await chat([ada, bob, eve])) console.log(line)
}
