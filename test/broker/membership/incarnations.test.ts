// Goal: two processes under one id are found out by whoever hears both, and the later one stops; a frame that comes late proves
// nothing, and a server that was moved, restarted or replaced is taken for what it is. Method: the questions and answers of one
// witness by hand; then whole servers in this process, one of which runs on a copy of the records of another.
import { afterEach, describe, expect, it, vi } from 'vitest'
import { bootstrap } from '../../../broker/bootstrap.ts'
import { MemoryStore } from '../../../broker/log/memory-store.ts'
import { Incarnations } from '../../../broker/membership/incarnations.ts'
import { Server } from '../../../broker/server.ts'
import type { ServerTimer } from '../../../broker/timers.ts'
import { connect } from '../../../client-sdk/index.ts'
import type { Member } from '../../../proto/configuration.ts'
import { address, parseServerName } from '../../../proto/ids.ts'
import type { Effect } from '../../../proto/machine/contract.ts'
import type { Position, RecordKind } from '../../../proto/machine/store.ts'
import { Timers } from '../../../proto/machine/timers.ts'
import { MemoryNetwork } from '../../../proto/transport/memory.ts'
import type { TransportHandler } from '../../../proto/transport/port.ts'
import { decodeFrame } from '../../../proto/wire/codec.ts'

const storageOf = (digit: number) => `00000000-0000-4000-8000-00000000000${digit}`
const member = (at: string, storage = 1): Member => ({
  name: parseServerName(`a@${storageOf(storage)}`),
  address: address(at),
})

/** A witness, and what it says. */
function witness() {
  let token = 0
  const timers = new Timers<ServerTimer>()
  const incarnations = new Incarnations(timers, () => ++token)
  const said: string[] = []
  const noted = <T>(act: (out: Effect[]) => T): T => {
    const out: Effect[] = []
    const result = act(out)
    for (const effect of out) {
      if (effect.kind !== 'send') continue
      const { message } = effect
      said.push(message.kind === 'shown' ? `${effect.to} stop ${message.incarnation}` : `${effect.to} ${message.kind}`)
    }
    return result
  }
  return {
    incarnations,
    said: () => said.splice(0),
    meets: (of: Member, incarnation: number) => noted((out) => incarnations.meets(of, incarnation, out)),
    answers: (of: Member, incarnation: number, to = token) =>
      noted((out) => incarnations.answered(to, of, incarnation, out)),
    pass: (ticks: number) => {
      timers.pass(timers.now + ticks)
      timers.ring([])
    },
    waits: () => timers.nextDue !== null,
  }
}

describe('a witness', () => {
  it('takes a process that comes back at the same address for the next one at once, without a question', () => {
    const { meets, said } = witness()
    expect([meets(member('one'), 1), meets(member('one'), 2), meets(member('one', 2), 3)]).toEqual([true, true, true])
    expect(said()).toEqual([])
  })

  it('tells the later one of two that both answer to stop, whichever answers first', () => {
    for (const order of [
      [1, 2],
      [2, 1],
    ]) {
      const { incarnations, meets, answers, said, pass, waits } = witness()
      meets(member('one'), 1)
      expect(meets(member('two'), 2)).toBe(false)
      expect(said()).toEqual(['one,two introduce'])
      for (const incarnation of order) answers(member(incarnation === 1 ? 'one' : 'two'), incarnation)
      expect(said()).toEqual(['two stop 2'])
      expect(incarnations.twins()).toEqual([member('two')])
      expect([meets(member('one'), 1), meets(member('two'), 2)]).toEqual([true, false])
      pass(2_000)
      expect([incarnations.twins(), waits()]).toEqual([[], false])
    }
  })

  it('follows a server that was moved, once the process at the old place stays silent', () => {
    const { meets, answers, said, pass } = witness()
    meets(member('one'), 1)
    expect(meets(member('two'), 2)).toBe(false)
    answers(member('two'), 2)
    pass(49)
    expect(meets(member('two'), 2)).toBe(false)
    pass(1)
    expect(meets(member('two'), 2)).toBe(true)
    // The old process only stood still: it is asked, and is now the one too many.
    said()
    expect(meets(member('one'), 1)).toBe(false)
    answers(member('one'), 1)
    answers(member('two'), 2)
    expect(said()).toEqual(['two,one introduce', 'one stop 1'])
  })

  it('does not follow frames that come late from a process that is gone', () => {
    const { meets, answers, said, pass } = witness()
    meets(member('two'), 2)
    expect(meets(member('one'), 1)).toBe(false)
    answers(member('two'), 2)
    pass(50)
    expect(meets(member('two'), 2)).toBe(true)
    expect(said()).toEqual(['two,one introduce'])
  })

  it('finds two at one address, as behind one name, when the one before speaks again; answers to old questions count nothing', () => {
    const { meets, answers, said } = witness()
    meets(member('one'), 1)
    meets(member('one'), 2)
    answers(member('one'), 1, 0)
    expect(meets(member('one'), 1)).toBe(false)
    expect(said()).toEqual(['one introduce'])
    answers(member('one'), 2)
    expect(said()).toEqual([])
    answers(member('one'), 1)
    expect(said()).toEqual(['one stop 1'])
    expect(meets(member('one'), 2)).toBe(true)
  })

  it('does not stop a process because an old frame of the one before came again', () => {
    const { meets, answers, said, pass } = witness()
    meets(member('one'), 1)
    meets(member('one'), 2)
    meets(member('one'), 1)
    answers(member('one'), 2)
    pass(50)
    expect(meets(member('one'), 2)).toBe(true)
    expect(said()).toEqual(['one introduce'])
  })
})

/** A store whose records can be copied while it is in use. */
class CopiedStore extends MemoryStore {
  readonly records: [RecordKind, Uint8Array][] = []

  override append(kind: RecordKind, body: Uint8Array): Position {
    this.records.push([kind, Uint8Array.from(body)])
    return super.append(kind, body)
  }
}

async function copyOf(records: readonly [RecordKind, Uint8Array][]): Promise<MemoryStore> {
  const store = new MemoryStore()
  await store.recover(() => {})
  for (const [kind, body] of records) store.append(kind, body)
  await store.flush()
  return store.reopen()
}

describe('servers', () => {
  const open: { close(): Promise<void> }[] = []
  afterEach(async () => {
    for (const one of open.splice(0).reverse()) await one.close()
  })

  async function cluster() {
    const network = new MemoryNetwork()
    const ids = ['a', 'b', 'c']
    const at = (id: string) => address(`server-${id}:1`)
    // Who has heard how far the log of a reaches.
    const witnesses = new Set<string>()
    const watched = (id: string, handler: TransportHandler): TransportHandler => ({
      frame: (from, bytes) => {
        const { message } = decodeFrame(bytes)
        if (message.kind === 'alive' && from === at('a') && (message.position ?? 0) > 0) witnesses.add(id)
        handler.frame(from, bytes)
      },
      peer: (from, up) => handler.peer(from, up),
    })
    const start = async (id: string, storage: number, store: MemoryStore, place = at(id)) => {
      let fail = (_error: Error) => {}
      const failed = new Promise<Error>((resolve) => {
        fail = resolve
      })
      const server = await Server.start({
        id,
        storage: storageOf(storage),
        store,
        address: place,
        seeds: ids.filter((one) => one !== id).map(at),
        listen: async (handler) => network.attach(place, watched(id, handler)),
        onFatal: (error) => fail(error),
      })
      open.push({ close: () => server.stop() })
      return { server, failed }
    }
    const store = new CopiedStore()
    await start('a', 1, store)
    await start('b', 2, new MemoryStore())
    await start('c', 3, new MemoryStore())
    const attach = network.attach.bind(network)
    await bootstrap({ servers: ids.map(at), dial: (name, handler) => attach(address(`client:${name}`), handler) })
    const client = await connect(`epochcast://${ids.map(at).join(',')}`, {
      transport: (name, handler) => attach(address(`client:${name}`), handler),
    })
    open.push(client)
    return { start, store, client, witnesses }
  }

  it('stop the copy of a living server before it says anything, and go on with the original', async () => {
    const { start, store, client } = await cluster()
    await client.topic('t').publish(Buffer.from('one'))
    const { failed } = await start('a', 1, await copyOf(store.records), address('elsewhere:1'))
    expect(await failed).toMatchObject({ code: expect.stringMatching(/^EC_STORAGE_(TWICE|OLD)$/) })
    expect((await client.topic('t').publish(Buffer.from('two'))).status).toBe('durable')
    expect((await client.admin.servers()).map(({ id, alive, address }) => [id, alive, address])).toEqual([
      ['a', true, 'server-a:1'],
      ['b', true, 'server-b:1'],
      ['c', true, 'server-c:1'],
    ])
  })

  it('stop a second server that was given an id that is in use, and show it', async () => {
    const { start, client } = await cluster()
    const { failed } = await start('a', 7, new MemoryStore(), address('elsewhere:1'))
    expect(await failed).toMatchObject({ code: 'EC_STORAGE_TWICE', message: expect.stringContaining('server-a:1') })
    const shown = (await client.admin.servers()).find(({ id }) => id === 'a')
    expect(shown).toMatchObject({ alive: true, address: 'server-a:1' })
  })

  it('stop a server whose disk is as old as the time before it belonged to the cluster', async () => {
    const { start, client, witnesses } = await cluster()
    await client.topic('t').publish(Buffer.from('one'))
    await vi.waitFor(() => expect(witnesses.size).toBe(2), { timeout: 15_000, interval: 5 })
    await open[0]?.close()
    const { failed } = await start('a', 1, new MemoryStore())
    expect(await failed).toMatchObject({ code: 'EC_STORAGE_OLD' })
  })
})
