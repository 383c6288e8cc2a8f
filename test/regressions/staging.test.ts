// Goal: what a server has taken in before its epoch begins is neither lost nor waited for without end. Method: clusters in this
// process, with servers that are down or hear something late, and batches that a faulty publisher sent differently to each.
import { describe, expect, it } from 'vitest'
import { text } from '../../client-sdk/index.ts'
import { epoch, topicName } from '../../proto/ids.ts'
import { settled, until } from '../until.ts'
import { at, batchOf, bodyOf, createFilteredCluster, type Passing } from './filtered-cluster.ts'

describe('a member', () => {
  it('that was down when its topic was made joins once it is back', async () => {
    await using cluster = await createFilteredCluster({ servers: 4 })
    const { admin } = await cluster.connect()
    await cluster.kill('d')
    await admin.createTopic('t', { members: ['a', 'b', 'd'], mode: 'fault-masking' })
    const topic = (await cluster.connect()).topic('t', { codec: text() })
    await topic.publish('1')
    await cluster.restart('d')
    const isOpen = async () =>
      (await admin.replicas('t')).every(({ phase, storedCount }) => phase === 'open' && storedCount === 1)
    await until(isOpen, 'd serves the topic and has caught up')
    await cluster.kill('b')
    expect((await topic.publish('2', { timeoutMs: 60_000 })).status).toBe('durable')
    const change = admin.reconfigure('t', { members: ['a', 'c', 'd'], timeoutMs: 60_000 })
    expect((await change.enabled).configuration.epoch).toBe(2)
  })

  it('keeps what it has staged for the next epoch when it hears late that it was not needed in this one', async () => {
    await using cluster = await createFilteredCluster({ servers: 4 })
    const { admin } = await cluster.connect()
    const writer = (await cluster.connect()).topic('t', { codec: text() })
    await admin.createTopic('t', { members: ['a', 'b', 'c'] })
    for (let count = 0; count < 5; count++) await writer.publish('of epoch 1')
    const late: Passing[] = []
    const told = cluster.watch((frame) => {
      if (frame.message.kind === 'enabled' && frame.message.epoch === 2 && frame.to === at('c')) late.push(frame)
    })
    await admin.reconfigure('t', { members: ['a', 'b', 'd'] }).retirable
    for (let count = 0; count < 5; count++) await writer.publish('of epoch 2')
    await until(() => late.length > 0, 'c hears that epoch 2 is enabled')
    told()

    // The next change gets as far as c saying that it has everything; nobody is proposed anything yet.
    let isStaged = false
    const undecided = cluster.lose(({ from, message }) => {
      if (message.kind === 'staged' && from === at('c') && message.missing === 0) isStaged = true
      return message.kind === 'accept'
    })
    const change = admin.reconfigure('t', { members: ['b', 'c', 'd'] })
    await until(() => isStaged, 'c has staged everything')
    const asker = cluster.stranger()
    const stagedCount = async () => {
      asker.forget()
      asker.say(['c'], { kind: 'inquire', topic: topicName('t'), epoch: epoch(2) })
      await until(() => asker.answers.length > 0, 'c tells its state')
      const [condition] = asker.answers
      return condition?.kind === 'condition' ? condition.stagedCount : null
    }
    expect(await stagedCount()).toBe(10)
    late[0]?.repeat()
    expect(await stagedCount()).toBe(10)
    undecided()
    await change.enabled
  })
})

describe('a batch of a faulty publisher', () => {
  it.each([[['a', 'b', 'c']], [['a', 'b', 'd']], [['d', 'e', 'f']]])(
    'with other boundaries at each server neither stops the topic nor keeps servers busy: %s come next',
    async (members) => {
      await using cluster = await createFilteredCluster({ servers: 6 })
      const client = await cluster.connect()
      await client.admin.createTopic('t', { members: ['a', 'b', 'c'] })
      const topic = client.topic('t', { codec: text() })
      await topic.publish('1')
      const faulty = cluster.stranger()
      faulty.say(['a'], batchOf('00000000000000aa', 1, 3, bodyOf(3)))
      faulty.say(['b'], batchOf('00000000000000aa', 1, 5, bodyOf(5)))
      await until(() => faulty.answers.filter(({ kind }) => kind === 'stored').length === 2, 'both have it')
      await cluster.kill('c')
      let pulls = 0
      cluster.watch(({ message }) => {
        if (message.kind === 'pull') pulls++
      })
      const change = client.admin.reconfigure('t', { members })
      expect((await settled(change.enabled, 'the change')).configuration.epoch).toBe(2)
      expect(pulls).toBeLessThan(100)
      expect((await topic.publish('2', { timeoutMs: 60_000 })).status).toBe('durable')
    },
  )
})
