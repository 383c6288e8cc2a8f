// Goal: NATS carries frames as every transport does. Method: the conformance suite against a real nats-server, then what is
// special: a NATS that ends or takes only small messages, groups, addresses, credentials.
import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { nkeys } from '@nats-io/transport-node'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type Address, address } from '../../../proto/ids.ts'
import { dialNats, listenNats } from '../../../proto/transport/nats.ts'
import { NatsEndpoint } from '../../../proto/transport/nats-endpoint.ts'
import { openNats } from '../../../proto/transport/nats-link.ts'
import type { NatsOptions } from '../../../proto/transport/nats-options.ts'
import { anyServer, natsClientAddress, Subjects } from '../../../proto/transport/nats-subjects.ts'
import { type Transport, type TransportLimits, transportLimits } from '../../../proto/transport/port.ts'
import { describeNats, NatsServers } from '../../peers/nats-server.ts'
import { describeTransport } from './conformance.ts'
import { quietMoment, Recorder, text, until } from './recorder.ts'

const kib = 1024

describeNats('nats', () => {
  let servers: NatsServers
  let prefixes = 0
  const closers: (() => Promise<unknown>)[] = []

  beforeAll(async () => {
    servers = await NatsServers.start()
  })

  afterEach(async () => {
    for (const close of closers.splice(0).reverse()) await close()
  })

  afterAll(async () => {
    await servers.close()
  })

  const fresh = (of: NatsServers = servers): NatsOptions => {
    prefixes += 1
    return { servers: of.addresses, prefix: `test-${prefixes}` }
  }
  const kept = (transport: Transport): Transport => {
    closers.push(() => transport.close())
    return transport
  }
  const listen = async (nats: NatsOptions, id: string, handler: Recorder, limits?: Partial<TransportLimits>) =>
    kept(await listenNats({ id, nats, handler, ...(limits && { limits }) }))
  const dial = async (nats: NatsOptions, name: string, handler: Recorder, limits?: Partial<TransportLimits>) =>
    kept(await dialNats({ name, nats, handler, ...(limits && { limits }) }))
  /** Everything that NATS carries under a prefix, counted by subject. */
  const tap = async (nats: NatsOptions): Promise<Map<string, number>> => {
    const connection = await openNats(nats)
    closers.push(() => connection.close())
    const seen = new Map<string, number>()
    connection.subscribe(`${nats.prefix}.>`, {
      callback: (_error, { subject, data }) => {
        // Frames alone, not the words between endpoints.
        if (data[0] === 0) seen.set(subject, (seen.get(subject) ?? 0) + 1)
      },
    })
    await connection.flush()
    return seen
  }

  describeTransport('nats', () => {
    let ids = 0
    const nats = fresh()
    const idAt = (at: Address | undefined): string => at?.slice('nats/'.length) ?? `s${++ids}`
    return {
      unknown: [address('nats/nobody'), address('nats/a.b'), address('nats/')],
      listen: (handler, limits, at) => listenNats({ id: idAt(at), nats, handler, ...(limits && { limits }) }),
      dial: (name, handler, limits) => dialNats({ name, nats, handler, ...(limits && { limits }) }),
    }
  })

  describe('nats, groups', () => {
    it('sends to several servers once, when all of them listen', async () => {
      const nats = fresh()
      const seen = await tap(nats)
      const saw = [new Recorder(), new Recorder(), new Recorder()]
      const all = await Promise.all(saw.map((recorder, at) => listen(nats, `s${at}`, recorder)))
      const client = await dial(nats, 'c', new Recorder())
      const to = all.map((one) => one.address)
      const toGroup = () => [...seen].reduce((sum, [subject, count]) => sum + (subject.includes('.g.') ? count : 0), 0)
      const alone = () => to.map((_, at) => seen.get(`${nats.prefix}.s.s${at}`) ?? 0)
      const heard = () => alone().reduce((sum, count) => sum + count, toGroup())
      let sent = 0
      /** Sends, and waits until the tap has heard all of it: one to the group, or more. */
      const send = async (count: number): Promise<void> => {
        for (let more = 0; more < count; more += 1) client.sendToAll?.(to, text(`${sent++}`))
        await until(() => saw.every((one) => new Set(one.texts).size === sent))
        await until(() => heard() >= sent)
      }
      // Until all three have said that they listen.
      for (let before = [-1, 0, 0]; String(before) !== String(alone()) || toGroup() === 0; ) {
        before = alone()
        await send(1)
        await quietMoment()
      }
      const [before, grouped] = [alone(), toGroup()]
      await send(50)
      await until(() => toGroup() === grouped + 50)
      expect(alone()).toEqual(before)
      const expected = Array.from({ length: sent }, (_, index) => `${index}`)
      // One that listens already, and whose word of that is on its way, gets a frame twice.
      for (const one of saw) expect([...new Set(one.texts)]).toEqual(expected)
      expect(client.framesLost).toBe(0)
    })

    it('reaches a member that ended and came back, which listens to no group yet', async () => {
      const nats = fresh()
      const [aSaw, bSaw, clientSaw] = [new Recorder(), new Recorder(), new Recorder()]
      const a = await listen(nats, 'a', aSaw)
      const b = await listenNats({ id: 'b', nats, handler: bSaw })
      const client = await dial(nats, 'c', clientSaw)
      const to = [a.address, b.address]
      const seen = await tap(nats)
      await until(() => {
        client.sendToAll?.(to, text('x'))
        return [...seen.keys()].some((subject) => subject.includes('.g.'))
      })
      await b.close()
      await until(() => clientSaw.hints.includes('-nats/b'))
      const againSaw = new Recorder()
      await listen(nats, 'b', againSaw)
      client.sendToAll?.(to, text('back'))
      await until(() => againSaw.texts.includes('back') && aSaw.texts.includes('back'))
      // It is there again, and listens to no group in its new life.
      await until(() => clientSaw.hints.at(-1) === '+nats/b')
      client.sendToAll?.(to, text('again'))
      await until(() => againSaw.texts.includes('again') && aSaw.texts.includes('again'))
    })

    it('keeps two sets of servers apart', async () => {
      const nats = fresh()
      const saw = [new Recorder(), new Recorder(), new Recorder()]
      const all = await Promise.all(saw.map((recorder, at) => listen(nats, `s${at}`, recorder)))
      const client = await dial(nats, 'c', new Recorder())
      const [first, second, third] = all.map((one) => one.address)
      for (let round = 0; round < 200; round += 1) {
        client.sendToAll?.([first, second] as Address[], text('early'))
        client.sendToAll?.([second, third] as Address[], text('late'))
        await new Promise((resolve) => setImmediate(resolve))
      }
      await until(() => (saw[1]?.frames.length ?? 0) >= 400)
      expect(new Set(saw[0]?.texts)).toEqual(new Set(['early']))
      expect(new Set(saw[2]?.texts)).toEqual(new Set(['late']))
    })
  })

  describe('nats, addresses', () => {
    it('reaches one server, whichever, under the address for any', async () => {
      const nats = fresh()
      const saw = [new Recorder(), new Recorder()]
      const all = await Promise.all(saw.map((recorder, at) => listen(nats, `s${at}`, recorder)))
      const clientSaw = new Recorder()
      const client = await dial(nats, 'c', clientSaw)
      saw.forEach((recorder, at) => {
        recorder.onFrame = (from) => all[at]?.send(from, text(`from ${at}`))
      })
      client.send(anyServer, text('hello'))
      await until(() => clientSaw.frames.length === 1)
      expect((saw[0]?.frames.length ?? 0) + (saw[1]?.frames.length ?? 0)).toBe(1)
    })

    it('hears from NATS that a client died, by the first frame that it does not get', async () => {
      const nats = fresh()
      const saw = new Recorder()
      const server = await listen(nats, 'a', saw)
      const connection = await openNats(nats)
      const subjects = new Subjects(nats.prefix ?? '')
      const handler = new Recorder()
      const client = new NatsEndpoint(natsClientAddress('c'), connection, subjects, transportLimits, handler)
      await client.open()
      client.send(server.address, text('hello'))
      await until(() => saw.frames.length === 1)
      // It says nothing more.
      await connection.close()
      expect(saw.hints).toEqual(['+client:c'])
      // NATS may take a moment until it knows that the connection is gone.
      await until(() => {
        server.send(client.address, text('still there?'))
        return server.framesLost > 0 && saw.hints.length === 2
      })
      expect(saw.hints).toEqual(['+client:c', '-client:c'])
    })

    it('refuses a server whose address another process has, and gives it out when that one is gone', async () => {
      const nats = fresh()
      const first = await listenNats({ id: 'a', nats, handler: new Recorder() })
      await expect(listenNats({ id: 'a', nats, handler: new Recorder() })).rejects.toMatchObject({
        code: 'EC_BAD_ARGUMENT',
        message: expect.stringContaining('nats/a'),
        hint: expect.stringContaining('prefix'),
      })
      await first.close()
      await listen(nats, 'a', new Recorder())
    })

    it('takes nothing from another prefix, and survives what strangers say on its subjects', async () => {
      const nats = fresh()
      const saw = new Recorder()
      const server = await listen(nats, 'a', saw)
      const stranger = await openNats(nats)
      closers.push(() => stranger.close())
      const reply = `${nats.prefix}.r.c.x.1.1`
      for (const data of [[], [0], [1, 2, 3], [1, ...Array(12).fill(255), 1], [2], [3], [4], [5, 42], [6], [99, 1]]) {
        stranger.publish(`${nats.prefix}.s.a`, Uint8Array.from(data))
        stranger.publish(`${nats.prefix}.s.a`, Uint8Array.from(data), { reply })
        stranger.publish(`${nats.prefix}.s.a`, Uint8Array.from(data), { reply: 'somewhere.else' })
        stranger.publish(`${nats.prefix}.r.s.a.1.1`, Uint8Array.from(data))
      }
      await stranger.flush()
      const client = await dial(nats, 'c', new Recorder())
      client.send(server.address, text('still alive'))
      await until(() => saw.texts.includes('still alive'))
      expect(saw.texts).toEqual(['still alive'])
    })
  })

  describe('nats, servers of NATS that end', () => {
    it('tells both sides when NATS is cut off, and carries on when it is back', async () => {
      const own = await NatsServers.start()
      closers.push(() => own.close())
      const nats = fresh(own)
      const [serverSaw, clientSaw] = [new Recorder(), new Recorder()]
      const server = await listen(nats, 'a', serverSaw)
      const client = await dial(nats, 'c', clientSaw)
      client.send(server.address, text('before'))
      await until(() => serverSaw.frames.length === 1 && clientSaw.hints.length === 1)
      await own.kill('n1')
      await until(() => serverSaw.hints.length === 2 && clientSaw.hints.length === 2)
      const lost = client.framesLost
      for (let index = 0; index < 10; index += 1) client.send(server.address, text('meanwhile'))
      expect(client.framesLost).toBe(lost + 10)
      await own.restart('n1')
      await until(() => {
        client.send(server.address, text('after'))
        return serverSaw.texts.includes('after')
      })
      await until(() => serverSaw.hints.length === 3 && clientSaw.hints.length === 3)
      expect(serverSaw.hints).toEqual(['+client:c', '-client:c', '+client:c'])
      expect(clientSaw.hints).toEqual(['+nats/a', '-nats/a', '+nats/a'])
      expect(serverSaw.texts).not.toContain('meanwhile')
      server.send(client.address, text('and back'))
      await until(() => clientSaw.texts.includes('and back'))
    })

    it('moves to another server of a NATS cluster, whether its own ends at once or says so before', async () => {
      const own = await NatsServers.start({ count: 3 })
      closers.push(() => own.close())
      const [first = '', second = '', third = ''] = own.names
      const nats = fresh(own)
      const [serverSaw, clientSaw] = [new Recorder(), new Recorder()]
      const at = (name: string): NatsOptions => ({ ...nats, servers: [own.addressOf(name)] })
      const server = await listen(at(first), 'a', serverSaw)
      const client = await dial(at(second), 'c', clientSaw)
      const talk = async (word: string): Promise<void> => {
        await until(() => {
          client.send(server.address, text(word))
          return serverSaw.texts.includes(word)
        })
        await until(() => {
          server.send(client.address, text(word))
          return clientSaw.texts.includes(word)
        })
      }
      await talk('one')
      await own.kill(first)
      // The client says nothing meanwhile: it is told by the one that was away.
      await until(() => serverSaw.hints.length >= 3 && clientSaw.hints.length >= 3)
      expect(clientSaw.hints.slice(0, 3)).toEqual(['+nats/a', '-nats/a', '+nats/a'])
      await talk('two')
      own.lameDuck(second)
      await until(() => clientSaw.hints.filter((hint) => hint.startsWith('-')).length >= 2)
      await own.kill(second)
      await own.restart(first)
      await talk('three')
      expect(third).not.toBe('')
    })

    it('leaves a server in lame duck mode before it is sent away', async () => {
      const own = await NatsServers.start({
        count: 3,
        config: 'lame_duck_duration: "20m", lame_duck_grace_period: "19m"',
      })
      closers.push(() => own.close())
      const [first = '', second = ''] = own.names
      const nats = fresh(own)
      const saw = new Recorder()
      await listen({ ...nats, servers: [own.addressOf(first)] }, 'a', new Recorder())
      const other = await listen({ ...nats, servers: [own.addressOf(second)] }, 'b', saw)
      other.send(address('nats/a'), text('hello'))
      await until(() => saw.hints.length === 1)
      own.lameDuck(first)
      await until(() => saw.hints.length === 3)
      expect(saw.hints).toEqual(['+nats/a', '-nats/a', '+nats/a'])
    })
  })

  describe('nats, sizes', () => {
    it('carries frames that are larger than NATS takes, in pieces', async () => {
      const own = await NatsServers.start({ config: 'max_payload: 65536' })
      closers.push(() => own.close())
      const nats = fresh(own)
      const saw = [new Recorder(), new Recorder()]
      const all = await Promise.all(saw.map((recorder, at) => listen(nats, `s${at}`, recorder)))
      const client = await dial(nats, 'c', new Recorder())
      const to = all.map((one) => one.address)
      const sizes = [65_534, 65_535, 65_536, 65_537, 65_536 - 13, 200 * kib, 2 * kib * kib]
      const frames = sizes.flatMap((size) => [randomBytes(size), Buffer.from('between')])
      const digestOf = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')
      const whole = new Set(frames.map(digestOf))
      for (let round = 0; round < 3; round += 1) {
        const arrived = saw.map((recorder) => {
          const digests = new Set<string>()
          recorder.onFrame = (_, bytes) => digests.add(digestOf(bytes))
          return digests
        })
        for (const frame of frames) client.sendToAll?.(to, [frame.subarray(0, 5), frame.subarray(5)])
        await until(() => arrived.every((digests) => digests.size >= whole.size))
        for (const digests of arrived) expect(digests).toEqual(whole)
      }
      expect(client.framesLost).toBe(0)
      client.send(address('nats/nobody'), [randomBytes(200 * kib)])
      await until(() => client.framesLost === 1)
      await quietMoment()
      expect(client.framesLost).toBe(1)
    })

    it('refuses a NATS that takes only small messages, by name', async () => {
      const own = await NatsServers.start({ config: 'max_payload: 4096' })
      closers.push(() => own.close())
      await expect(listenNats({ id: 'a', nats: fresh(own), handler: new Recorder() })).rejects.toMatchObject({
        code: 'EC_BAD_ARGUMENT',
        message: expect.stringContaining('4096'),
        hint: expect.stringContaining('max_payload'),
      })
    })
  })

  describe('nats, credentials', () => {
    const talks = async (nats: NatsOptions): Promise<void> => {
      const saw = new Recorder()
      const server = await listen(nats, 'a', saw)
      const client = await dial(nats, 'c', new Recorder())
      client.send(server.address, text('hello'))
      await until(() => saw.frames.length === 1)
    }
    const refused = { code: 'EC_BAD_ARGUMENT', message: expect.stringContaining('refuses these credentials') }

    it('says that nobody answers', async () => {
      const nobody = { servers: ['127.0.0.1:1'] }
      await expect(dialNats({ name: 'c', nats: nobody, handler: new Recorder() })).rejects.toMatchObject({
        code: 'EC_UNREACHABLE',
        message: expect.stringContaining('127.0.0.1:1'),
      })
    })

    it('takes user and password, and permissions of its own subjects', async () => {
      const user = '{ user: u, password: "p w", permissions: { publish: "mine.>", subscribe: "mine.>" } }'
      const own = await NatsServers.start({ config: `authorization { users: [${user}] }` })
      closers.push(() => own.close())
      const nats = { servers: own.addresses, user: 'u', password: 'p w' }
      await talks({ ...nats, prefix: 'mine' })
      const handler = new Recorder()
      await expect(listenNats({ id: 'b', nats: { ...nats, prefix: 'theirs' }, handler })).rejects.toMatchObject({
        code: 'EC_BAD_ARGUMENT',
        message: expect.stringContaining('does not let this user listen'),
      })
      await expect(dialNats({ name: 'c', nats: { ...nats, password: 'x' }, handler })).rejects.toMatchObject(refused)
      await expect(dialNats({ name: 'c', nats: { servers: own.addresses }, handler })).rejects.toMatchObject(refused)
    })

    it('needs no more permissions than docs/many-machines.md names', async () => {
      const under = (...subjects: string[]) => subjects.map((subject) => `"shop.${subject}"`).join(', ')
      const server = `publish: [${under('s.>', 'c.>', 'r.s.>')}], subscribe: [${under('s.>', 'any', 'g.>', 'r.s.>')}]`
      const user = `publish: [${under('s.>', 'any', 'g.>')}], subscribe: [${under('c.>', 'r.c.>')}]`
      const users = [
        `{ user: server, password: x, permissions: { ${server} } }`,
        `{ user: client, password: x, permissions: { ${user} } }`,
      ]
      const own = await NatsServers.start({ config: `authorization { users: [${users.join(', ')}] }` })
      closers.push(() => own.close())
      const as = (who: string): NatsOptions => ({ servers: own.addresses, user: who, password: 'x', prefix: 'shop' })
      const [saw, clientSaw] = [[new Recorder(), new Recorder()], new Recorder()]
      const all = await Promise.all(saw.map((recorder, at) => listen(as('server'), `s${at}`, recorder)))
      await expect(listenNats({ id: 's0', nats: as('server'), handler: saw[0] as Recorder })).rejects.toMatchObject({
        message: expect.stringContaining('another process'),
      })
      const client = await dial(as('client'), 'c', clientSaw)
      const [first, second] = all.map((one) => one.address) as [Address, Address]
      for (const [at, recorder] of saw.entries()) recorder.onFrame = (from) => all[at]?.send(from, text('answer'))
      all[0]?.send(second, text('between servers'))
      client.send(anyServer, text('any'))
      await until(() => clientSaw.frames.length === 1 && saw[1]?.texts.includes('between servers') === true)
      for (let round = 0; round < 50; round += 1) {
        client.sendToAll?.([first, second], text('all'))
        await new Promise((resolve) => setTimeout(resolve, 1))
      }
      await until(() => saw.every((one) => one.texts.filter((word) => word === 'all').length >= 50))
      await until(() => clientSaw.frames.length >= 101)
      client.send(address('nats/nobody'), text('x'))
      await until(() => client.framesLost === 1)
    })

    it('encrypts, shows its certificate, and believes no server of another authority', async () => {
      const file = (name: string) => join(import.meta.dirname, '../../peers/tls', name)
      const tls = `cert_file: "${file('server.pem')}", key_file: "${file('server.key')}", ca_file: "${file('ca.pem')}"`
      const own = await NatsServers.start({ config: `tls { ${tls}, verify: true }` })
      closers.push(() => own.close())
      const known = { ca: file('ca.pem'), cert: file('client.pem'), key: file('client.key') }
      await talks({ ...fresh(own), tls: known })
      const handler = new Recorder()
      for (const strange of [{}, { ca: file('client.pem') }, { ca: file('ca.pem') }]) {
        const nats = { ...fresh(own), tls: strange }
        const unreachable = { code: 'EC_UNREACHABLE', hint: expect.stringContaining('tls') }
        await expect(dialNats({ name: 'c', nats, handler }), JSON.stringify(strange)).rejects.toMatchObject(unreachable)
      }
    })

    it('takes a token', async () => {
      const own = await NatsServers.start({ config: 'authorization { token: "s3cret" }' })
      closers.push(() => own.close())
      await talks({ ...fresh(own), token: 's3cret' })
    })

    it('takes an nkey from a file, and names a file that is missing', async () => {
      const folder = await mkdtemp(join(tmpdir(), 'epochcast-nkey-'))
      closers.push(() => rm(folder, { recursive: true }))
      const key = nkeys.createUser()
      const file = join(folder, 'user.nk')
      await writeFile(file, `${Buffer.from(key.getSeed()).toString()}\n`)
      const own = await NatsServers.start({ config: `authorization { users: [{ nkey: ${key.getPublicKey()} }] }` })
      closers.push(() => own.close())
      await talks({ ...fresh(own), nkey: file })
      const missing = { ...fresh(own), creds: join(folder, 'nothing.creds') }
      await expect(dialNats({ name: 'c', nats: missing, handler: new Recorder() })).rejects.toMatchObject({
        code: 'EC_BAD_ARGUMENT',
        message: expect.stringContaining('nothing.creds'),
      })
    })
  })
})
