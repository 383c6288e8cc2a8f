/**
 * A ledger: everybody applies the same transfers in the same order, so everybody refuses the same ones, without a database that
 * they share. The position of a transfer is its number in the books, for ever.
 */
import { pathToFileURL } from 'node:url'
import { type Client, connect, EpochcastError, json } from '../client-sdk/index.ts'

interface Transfer {
  readonly from: string
  readonly to: string
  readonly amount: number
}

/** Books as one reader keeps them. */
export class Books {
  readonly balances = new Map<string, number>([['bank', 100]])
  readonly lines: string[] = []

  apply(position: number, { from, to, amount }: Transfer): void {
    const balance = this.balances.get(from) ?? 0
    const isCovered = balance >= amount
    this.lines.push(`${position}: ${from} -> ${to} ${amount}${isCovered ? '' : ' refused'}`)
    if (!isCovered) return
    this.balances.set(from, balance - amount)
    this.balances.set(to, (this.balances.get(to) ?? 0) + amount)
  }
}

/** Two tellers spend the same money at the same time. @returns the books of two readers */
export async function ledger(client: Client, topicName = 'ledger'): Promise<readonly [Books, Books]> {
  await createTotal(client, topicName)
  const topic = client.topic(topicName, { codec: json<Transfer>() })
  const before = (await topic.get()).messages.length
  const one: Transfer[] = [
    { from: 'bank', to: 'ada', amount: 60 },
    { from: 'ada', to: 'bob', amount: 50 },
  ]
  const other: Transfer[] = [
    { from: 'bank', to: 'eve', amount: 70 },
    { from: 'eve', to: 'bob', amount: 20 },
  ]
  const count = before + one.length + other.length
  const reading = Promise.all([keep(), keep()])
  await Promise.all([one, other].map((transfers) => topic.publishMany(transfers)))
  return reading

  async function keep(): Promise<Books> {
    const books = new Books()
    for await (const message of topic.subscribe({ from: 'start', order: 'total' })) {
      books.apply(message.position ?? 0, message.value)
      if (message.position === count) break
    }
    return books
  }
}

/** An order is a property of the topic: it says what publishers stamp, and whether there is a sequencer. */
async function createTotal(client: Client, name: string): Promise<void> {
  try {
    await client.admin.createTopic(name, { order: 'total' })
  } catch (error) {
    if (!(error instanceof EpochcastError) || error.code !== 'EC_TOPIC_EXISTS') throw error
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  await using client = await connect()
  const [one, other] = await ledger(client)
  for (const line of one.lines) console.log(line)
  console.log('both readers agree:', JSON.stringify(one.lines) === JSON.stringify(other.lines))
}
