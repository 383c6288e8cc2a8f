// Goal: every example runs and shows what it says. Method: each in a cluster of this process, the ledger over an epoch change too.
import { describe, expect, it } from 'vitest'
import { createCluster } from '../../broker/dev/cluster.ts'
import { chat } from '../../examples/chat.ts'
import { ledger } from '../../examples/ledger.ts'
import { Presence, presence } from '../../examples/presence.ts'

describe('examples', () => {
  it('presence shows who is here', async () => {
    await using cluster = await createCluster()
    const lines = await presence(await cluster.connect())
    expect(lines.at(-1)).toBe('here: ada, eve')
    expect(lines).toContain('here: ada, bob, eve')
  })

  it('presence takes back what was lost', () => {
    const list = new Presence()
    list.show('1', { user: 'ada', state: 'here' }, false)
    list.show('2', { user: 'ada', state: 'away' }, true)
    list.show('3', { user: 'bob', state: 'here' }, true)
    expect(list.here).toEqual(['bob'])
    list.takeBack('3')
    list.takeBack('2')
    expect(list.here).toEqual(['ada'])
  })

  it('ledger keeps one order of the books, again and over an epoch change', async () => {
    await using cluster = await createCluster({ servers: 4 })
    const client = await cluster.connect()
    const [one, other] = await ledger(client)
    expect(other.lines).toEqual(one.lines)
    expect(one.lines.filter((line) => line.endsWith('refused')).length).toBeGreaterThan(0)
    await client.admin.reconfigure('ledger', { members: ['b', 'c', 'd'] }).enabled
    const [later, latest] = await ledger(client)
    expect(later.lines.slice(0, one.lines.length)).toEqual(one.lines)
    expect(latest.lines).toEqual(later.lines)
  })

  it('chat shows no answer before its question', async () => {
    await using cluster = await createCluster()
    const clients = [await cluster.connect(), await cluster.connect(), await cluster.connect()] as const
    const shown = await chat(clients)
    for (const text of ['How are you?', 'Is it raining?', 'Shall we go?']) {
      const question = shown.findIndex((line) => line.endsWith(`ada: ${text}`))
      expect(question).toBeGreaterThanOrEqual(0)
      expect(shown.findIndex((line) => line.includes(`to "${text}"`))).toBeGreaterThan(question)
    }
  })
})
