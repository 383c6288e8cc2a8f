// Goal: what is said about NATS is used, or refused: never left out. Method: connect with urls that are about NATS, and that are not;
// nothing listens there.
import { expect, it } from 'vitest'
import { createCluster } from '../../broker/index.ts'
import { connect } from '../../client-sdk/index.ts'
import { parseNatsUrl, withMore } from '../../proto/transport/nats-options.ts'

const refused = { code: 'EC_BAD_ARGUMENT' }

it('options about NATS need a url of NATS, and no transport of the caller', async () => {
  for (const nats of [{}, { user: 'u', password: 'p' }, { prefix: 'x' }, { tls: {} }]) {
    await expect(connect('epochcast://127.0.0.1:1', { nats })).rejects.toMatchObject(refused)
    await expect(connect(undefined, { nats })).rejects.toMatchObject(refused)
  }
  const transport = () => {
    throw new Error('dialled')
  }
  await expect(connect('nats://127.0.0.1:1', { nats: {}, transport })).rejects.toMatchObject(refused)
})

it('nothing is said twice, by the url and beside it', () => {
  const said = parseNatsUrl('tls://token@a?prefix=x&ca=A')
  for (const more of [{ token: 'other' }, { prefix: 'y' }, { tls: { ca: 'B' } }, { user: 'u' }]) {
    expect(() => withMore(said, more)).toThrow(expect.objectContaining(refused))
  }
  expect(withMore(said, { tls: { cert: 'C', key: 'K' } }).tls).toEqual({ ca: 'A', cert: 'C', key: 'K' })
  expect(withMore(parseNatsUrl('nats://a'), { user: 'u', password: 'p' })).toEqual({
    ...{ servers: ['a:4222'], user: 'u', password: 'p' },
  })
})

it('a size beside members that are named is theirs', async () => {
  await using cluster = await createCluster()
  const { admin } = await cluster.connect()
  const members = ['a', 'b']
  await expect(admin.createTopic('t', { mode: 'fault-recovery', members, size: 3 })).rejects.toMatchObject(refused)
  await admin.createTopic('t', { mode: 'fault-recovery', members, size: 2 })
  await expect(async () => admin.reconfigure('t', { members, size: 1 }).decided).rejects.toMatchObject(refused)
})
