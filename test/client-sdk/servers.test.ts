// Goal: a client knows every server from its first answer on, and those that come later. Method: a client of one address whose
// server dies at once, and a client's machine that is told by hand.
import { expect, it } from 'vitest'
import { createCluster } from '../../broker/dev/cluster.ts'
import { connect, text } from '../../client-sdk/index.ts'
import { ClientMachine } from '../../client-sdk/machine.ts'
import { address, type ClusterId, serverId, serverName } from '../../proto/ids.ts'
import type { Effect } from '../../proto/machine/contract.ts'
import type { Message } from '../../proto/wire/messages.ts'
import { passTime } from '../harness/pass-time.ts'

it('goes on by the others when the only server that it was told of dies', async () => {
  await using cluster = await createCluster()
  const { network } = cluster
  const first = await cluster.connect()
  await first.topic('t', { codec: text() }).publish('1')
  const client = await connect('epochcast://server-a:1', {
    transport: (name, handler) => network.attach(address(`client:${name}`), handler),
  })
  await cluster.kill('a')
  expect((await client.topic('t', { codec: text() }).publish('2')).status).toBe('durable')
  await client.close()
})

const cluster = 'c0000000-0000-4000-8000-000000000000' as ClusterId
const member = (id: string) => ({
  name: serverName(serverId(id), `00000000-0000-4000-8000-00000000000${id.charCodeAt(0) % 10}`),
  address: address(id),
})

/** A machine that is told what a test says; `asked` is whom it asked for the list of servers since. */
function told() {
  const machine = new ClientMachine({ seeds: [address('a')], random: { below: () => 1 }, clock: { nowMs: () => 0 } })
  const out: Effect[] = []
  const asked = () =>
    out
      .splice(0)
      .flatMap((effect) => (effect.kind === 'send' && effect.message.kind === 'list-servers' ? effect.to : []))
  const hear = (from: string, message: Message) => {
    const envelope = { cluster, from: member(from).name, token: 0 }
    machine.step({ kind: 'frame', from: address(from), frame: { envelope, message, bytes: new Uint8Array(0) } }, out)
  }
  const list = (ids: readonly string[]): Message => ({
    ...{ kind: 'directory', silent: [], old: [], syncs: [], arbiters: [], lives: [], short: [], twins: [] },
    servers: ids.map(member),
  })
  return { machine, out, asked, hear, list }
}

it('is connected once it has the list, asks for it again, and at once when a connection breaks', () => {
  const { machine, out, asked, hear, list } = told()
  let isReady = false
  machine.introduce(() => {
    isReady = true
  }, out)
  hear('a', {
    kind: 'identity',
    member: member('a'),
    cluster: { id: cluster, arbiters: [], engine: undefined } as never,
  })
  expect([asked(), isReady]).toEqual([['a'], false])
  hear('a', list(['a', 'b', 'c']))
  expect([machine.servers.addresses(), isReady]).toEqual([['a', 'b', 'c'], true])
  machine.step({ kind: 'peer', address: address('a'), up: false }, out)
  expect(asked()).toEqual(['b', 'c', 'a'])
  out.push(...passTime(machine)(500))
  expect(asked()).toEqual(['b', 'c', 'a'])
  hear('b', list(['b', 'c', 'd']))
  expect(machine.servers.addresses()).toContain('d')
})
