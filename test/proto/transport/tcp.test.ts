import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import fc from 'fast-check'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { type Address, address } from '../../../proto/ids.ts'
import { BackOff } from '../../../proto/transport/back-off.ts'
import { framePrefix } from '../../../proto/transport/framing.ts'
import { decodeHello, encodeHello } from '../../../proto/transport/hello.ts'
import type { TransportLimits } from '../../../proto/transport/port.ts'
import { dialTcp, listenTcp, type TcpTransport } from '../../../proto/transport/tcp.ts'
import { parseHostPort } from '../../../proto/transport/tcp-address.ts'
import { Recorder, text, until } from './recorder.ts'

// Goal: a stranger's bytes cost one connection and nothing else; connections are reused, replaced and given up rightly.
// Method: plain sockets that speak the protocol well or badly, against a real endpoint on loopback.

const host = '127.0.0.1'
const kib = 1024
const closers: (() => Promise<void> | void)[] = []

afterEach(async () => {
  vi.restoreAllMocks()
  await Promise.all(closers.splice(0).map((close) => close()))
})

async function listen(recorder: Recorder, limits: Partial<TransportLimits> = {}, port = 0): Promise<TcpTransport> {
  const transport = await listenTcp({ host, port, handler: recorder, limits })
  closers.push(() => transport.close())
  return transport
}

function dial(name: string, recorder: Recorder, limits: Partial<TransportLimits> = {}): TcpTransport {
  const transport = dialTcp({ name, handler: recorder, limits })
  closers.push(() => transport.close())
  return transport
}

function portOf(transport: TcpTransport): number {
  return Number(transport.address.split(':')[1])
}

interface Stranger {
  readonly socket: Socket
  readonly received: Buffer[]
  readonly state: { closed: boolean }
}

/** A plain socket, connected; `closed` once the other side has ended it. */
async function stranger(to: TcpTransport): Promise<Stranger> {
  const socket = connect({ host, port: portOf(to), noDelay: true })
  const state = { closed: false }
  const received: Buffer[] = []
  socket.on('error', () => {})
  socket.on('close', () => {
    state.closed = true
  })
  socket.on('data', (chunk: Buffer) => received.push(chunk))
  closers.push(() => void socket.destroy())
  await new Promise((resolve) => socket.once('connect', resolve))
  return { socket, received, state }
}

/** A plain server at a free port. */
async function plainServer(onSocket: (socket: Socket) => void): Promise<{ server: Server; address: Address }> {
  const sockets: Socket[] = []
  const server = createServer((socket) => {
    sockets.push(socket)
    socket.on('error', () => {})
    onSocket(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, host, resolve))
  closers.push(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return { server, address: address(`${host}:${(server.address() as AddressInfo).port}`) }
}

function hello(name: string): Uint8Array {
  return encodeHello(name as Address)
}

function framed(body: Uint8Array): Buffer {
  return Buffer.concat([framePrefix(body.length), body])
}

describe('tcp, bytes of strangers', () => {
  const good = hello('client:x').subarray(4)
  const bad: Record<string, Uint8Array> = {
    'another protocol': Buffer.from('GET / HTTP/1.1\r\nhost: localhost\r\n\r\n'),
    'a huge declared length': Buffer.from([0xff, 0xff, 0xff, 0xff]),
    'a length of 2^31': Buffer.from([0x80, 0, 0, 0]),
    'an empty frame': Buffer.from([0, 0, 0, 0]),
    'a first frame one byte over the limit': Buffer.from([0, 0, 2, 1]),
    'a good hello after a bad one': Buffer.concat([framed(Buffer.from('hello')), hello('client:x')]),
    'a frame instead of a hello': framed(Buffer.from('hello')),
    'another magic': framed(Buffer.concat([Buffer.from('EPOC'), good.subarray(4)])),
    'another layout': framed(Buffer.concat([good.subarray(0, 4), Buffer.of(9), good.subarray(5)])),
    'another version': framed(Buffer.concat([good.subarray(0, 5), Buffer.of(8, 9), good.subarray(7)])),
    'only the magic': framed(good.subarray(0, 4)),
    'no address': framed(good.subarray(0, 5)),
    'a client without a name': hello('client:'),
    'an address that is neither server nor client': hello('somebody'),
    'an address with a space': hello('client:a b'),
    'an address with a line break': hello('client:a\nb'),
    'an address that is too long': hello(`client:${'x'.repeat(249)}`),
    'an address that is not ASCII': framed(Buffer.concat([good, Buffer.from([0xc3, 0xa9])])),
    'an address of broken UTF-8': framed(Buffer.concat([good, Buffer.from([0xff])])),
    'a port of 0': hello('127.0.0.1:0'),
    'an empty frame after the hello': Buffer.concat([hello('client:x'), Buffer.from([0, 0, 0, 0])]),
    'a frame over the limit after the hello': Buffer.concat([hello('client:x'), Buffer.from([0, 0, 4, 1])]),
  }

  for (const [what, bytes] of Object.entries(bad)) {
    it(`closes the connection for ${what}, counts it, and serves the others`, async () => {
      const saw = new Recorder()
      const server = await listen(saw, { frameBytesMax: kib })
      const { socket, state } = await stranger(server)
      socket.write(bytes)
      await until(() => state.closed)
      expect(saw.frames).toEqual([])
      expect(saw.hints.length).toBe(what.endsWith('after the hello') ? 2 : 0)
      expect(server.connectionsRefused).toBe(1)
      dial('other', new Recorder()).send(server.address, text('fine'))
      await until(() => saw.frames.length === 1)
    })
  }

  it('answers a good hello only', async () => {
    const server = await listen(new Recorder())
    const [rude, polite] = [await stranger(server), await stranger(server)]
    rude.socket.write(framed(Buffer.from('hello')))
    polite.socket.write(hello('client:polite'))
    await until(() => rude.state.closed && polite.received.length > 0)
    expect(rude.received).toEqual([])
    expect(Buffer.concat(polite.received).equals(hello(server.address))).toBe(true)
  })

  it('refuses a hello with its own address', async () => {
    const saw = new Recorder()
    const server = await listen(saw)
    const { socket, state } = await stranger(server)
    socket.write(hello(server.address))
    await until(() => state.closed)
    expect(saw.hints).toEqual([])
  })

  it('closes at the deadline when the hello is silent, slow or nearly complete, and not once it is up', async () => {
    const saw = new Recorder()
    const server = await listen(saw, { handshakeTimeoutMs: 1_000 })
    const up = await stranger(server)
    up.socket.write(hello('client:up'))
    const slow = await stranger(server)
    const bytes = hello('client:slow')
    let sent = 0
    const drip = setInterval(() => {
      if (sent < bytes.length - 1) slow.socket.write(bytes.subarray(sent, ++sent))
    }, 50)
    closers.push(() => clearInterval(drip))
    const silent = await stranger(server)
    const nearly = await stranger(server)
    nearly.socket.write(hello('client:nearly').subarray(0, -1))
    await until(() => silent.state.closed && slow.state.closed && nearly.state.closed)
    expect(server.connectionsRefused).toBe(3)
    expect(up.state.closed).toBe(false)
    expect(saw.hints).toEqual(['+client:up'])
  })

  it('drops a frame that was cut off in the middle', async () => {
    const saw = new Recorder()
    const server = await listen(saw)
    const { socket } = await stranger(server)
    socket.write(
      Buffer.concat([hello('client:x'), framed(Buffer.from('whole')), framed(Buffer.from('half')).subarray(0, 6)]),
    )
    await until(() => saw.frames.length === 1)
    socket.resetAndDestroy()
    await until(() => saw.hints.length === 2)
    expect(saw.texts).toEqual(['whole'])
    expect(saw.hints).toEqual(['+client:x', '-client:x'])
    expect(server.connectionsRefused).toBe(0)
  })

  it('gives the same frames however the bytes are written', async () => {
    const saw = new Recorder()
    const server = await listen(saw)
    const frames = fc.array(fc.uint8Array({ minLength: 1, maxLength: 300 }), { minLength: 1, maxLength: 8 })
    const cuts = fc.array(fc.integer({ min: 1, max: 120 }), { maxLength: 12 })
    const property = fc.asyncProperty(frames, cuts, async (sent, lengths) => {
      saw.frames.length = 0
      const { socket } = await stranger(server)
      let rest = Buffer.concat([hello('client:x'), ...sent.map(framed)])
      for (const length of lengths) {
        socket.write(rest.subarray(0, length))
        rest = rest.subarray(length)
        await new Promise((resolve) => setImmediate(resolve))
      }
      socket.end(rest)
      await until(() => saw.frames.length === sent.length)
      expect(saw.frames.map((frame) => Array.from(frame))).toEqual(sent.map((frame) => Array.from(frame)))
    })
    await fc.assert(property, { numRuns: 40 })
  })

  it('leaves what it handed over alone', async () => {
    const saw = new Recorder()
    const server = await listen(saw)
    const client = dial('x', new Recorder())
    for (let index = 0; index < 200; index += 1) client.send(server.address, [Buffer.alloc(5_000, index)])
    await until(() => saw.frames.length === 200)
    for (const [index, frame] of saw.frames.entries()) expect(frame.every((byte) => byte === index % 256)).toBe(true)
  })
})

describe('tcp, connections', () => {
  it('sends over the connection that the other side dialled, rather than dial it', async () => {
    let dials = 0
    const { address: name } = await plainServer(() => {
      dials += 1
    })
    const saw = new Recorder()
    const server = await listen(saw)
    const { socket, received } = await stranger(server)
    socket.write(hello(name))
    await until(() => saw.hints.length === 1)
    server.send(name, text('back the same way'))
    await until(() => Buffer.concat(received).includes('back the same way'))
    expect(dials).toBe(0)
  })

  it('sends over the connection that it dialled itself, both ways', async () => {
    const [aSaw, bSaw] = [new Recorder(), new Recorder()]
    const a = await listen(aSaw)
    const b = await listen(bSaw)
    a.send(b.address, text('1'))
    await until(() => bSaw.frames.length === 1)
    for (const round of ['2', '3']) b.send(a.address, text(round))
    await until(() => aSaw.frames.length === 2)
    await a.close()
    await until(() => bSaw.hints.length === 2)
    expect(bSaw.hints).toEqual([`+${a.address}`, `-${a.address}`])
  })

  it('sends on the newest connection of an address, and ends the one before after what it holds', async () => {
    const saw = new Recorder()
    const server = await listen(saw)
    const name = address('client:twice')
    const first = await stranger(server)
    first.socket.write(hello(name))
    await until(() => saw.hints.length === 1)
    server.send(name, text('old'))
    const second = await stranger(server)
    second.socket.write(hello(name))
    await until(() => saw.hints.length === 3)
    server.send(name, text('new'))
    await until(() => first.state.closed && Buffer.concat(second.received).includes('new'))
    expect(Buffer.concat(first.received).includes('old')).toBe(true)
    expect(Buffer.concat(first.received).includes('new')).toBe(false)
    expect(saw.hints).toEqual([`+${name}`, `-${name}`, `+${name}`])
    expect(server.framesLost).toBe(0)
  })

  it('lets an older connection take what was sent on it before', async () => {
    const saw = new Recorder()
    const server = await listen(saw)
    const name = address('client:twice')
    const first = await stranger(server)
    first.socket.write(hello(name))
    await until(() => saw.hints.length === 1)
    first.socket.pause()
    const frame = Buffer.alloc(1024 * kib)
    for (let index = 0; index < 16; index += 1) server.send(name, [frame])
    const second = await stranger(server)
    second.socket.write(hello(name))
    await until(() => saw.hints.length === 3)
    first.socket.resume()
    await until(() => first.state.closed)
    expect(Buffer.concat(first.received).length).toBe(hello(server.address).length + 16 * (4 + frame.length))
    expect(server.framesLost).toBe(0)
  })

  it('moves to the connection that the other side dialled later, without a hint', async () => {
    const toDialled: Buffer[] = []
    const { address: name } = await plainServer((socket) => {
      socket.write(hello(name))
      socket.on('data', (chunk: Buffer) => toDialled.push(chunk))
    })
    const saw = new Recorder()
    const server = await listen(saw)
    server.send(name, text('before'))
    await until(() => Buffer.concat(toDialled).includes('before'))
    const { socket, received } = await stranger(server)
    socket.write(hello(name))
    await until(() => received.length > 0)
    server.send(name, text('after'))
    await until(() => Buffer.concat(received).includes('after'))
    expect(Buffer.concat(toDialled).includes('after')).toBe(false)
    expect(saw.hints).toEqual([`+${name}`])
    socket.destroy()
    await until(() => saw.hints.length === 2)
    expect(saw.hints).toEqual([`+${name}`, `-${name}`])
  })

  it('is reached under what was dialled and under what the other side calls itself', async () => {
    const [serverSaw, clientSaw] = [new Recorder(), new Recorder()]
    const server = await listen(serverSaw)
    const client = dial('x', clientSaw)
    const alias = address(`localhost:${portOf(server)}`)
    client.send(alias, text('1'))
    await until(() => serverSaw.frames.length === 1)
    client.send(server.address, text('2'))
    await until(() => serverSaw.frames.length === 2)
    expect(serverSaw.hints).toEqual(['+client:x'])
    await server.close()
    await until(() => clientSaw.hints.length === 4)
    expect(clientSaw.hints).toEqual([`+${alias}`, `+${server.address}`, `-${alias}`, `-${server.address}`])
  })

  it('loses a frame to itself under another name', async () => {
    const saw = new Recorder()
    const server = await listen(saw)
    server.send(address(`localhost:${portOf(server)}`), text('me?'))
    await until(() => server.framesLost === 1)
    expect([saw.frames, saw.hints]).toEqual([[], []])
  })

  it('gathers the frames of one turn into few writes', async () => {
    let reads = 0
    const frames = 500
    const expected = hello('client:x').length + frames * (4 + 3)
    let bytes = 0
    const { address: to } = await plainServer((socket) => {
      socket.write(hello(to))
      socket.on('data', (chunk: Buffer) => {
        reads += 1
        bytes += chunk.length
      })
    })
    const saw = new Recorder()
    const client = dial('x', saw)
    client.send(to, text('abc'))
    await until(() => saw.hints.length === 1)
    for (let index = 1; index < frames; index += 1) client.send(to, text('abc'))
    await until(() => bytes === expected)
    expect(reads).toBeLessThanOrEqual(5)
  })

  it('loses and counts what a receiver that does not read leaves waiting, and no other receiver notices', async () => {
    const { address: stuck } = await plainServer((socket) => {
      socket.pause()
      socket.write(hello(stuck))
    })
    const [saw, other] = [new Recorder(), new Recorder()]
    const queueBytesMax = 1024 * kib
    const client = dial('x', saw, { queueBytesMax })
    const server = await listen(other)
    const frame = Buffer.alloc(64 * kib)
    let sent = 0
    await until(() => {
      client.send(stuck, [frame])
      sent += 1
      return client.framesLost >= 100
    })
    for (let index = 0; index < 100; index += 1) {
      client.send(server.address, text(`${index}`))
      client.send(stuck, [frame])
      sent += 1
    }
    await until(() => other.frames.length === 100)
    expect(client.framesLost).toBe(200)
    await client.close()
    // What still waited is lost too; only what the operating system took is not.
    expect(client.framesLost).toBeGreaterThan(200)
    expect(client.framesLost).toBeLessThanOrEqual(sent)
  })

  it('gives up a dial at the deadline and loses what waited for it', async () => {
    const { address: mute } = await plainServer((socket) => socket.resume())
    const saw = new Recorder()
    const client = dial('x', saw, { handshakeTimeoutMs: 100 })
    client.send(mute, text('1'))
    client.send(mute, text('2'))
    expect(client.framesLost).toBe(0)
    await until(() => client.framesLost === 2)
    expect(saw.hints).toEqual([])
  })

  it('does not dial during back-off, and dials again after it', async () => {
    let dials = 0
    const { address: rude } = await plainServer((socket) => {
      dials += 1
      socket.destroy()
    })
    let now = 0
    vi.spyOn(performance, 'now').mockImplementation(() => now)
    const client = dial('x', new Recorder())
    client.send(rude, text('1'))
    await until(() => client.framesLost === 1)
    for (let index = 0; index < 100; index += 1) client.send(rude, text('x'))
    expect([client.framesLost, dials]).toEqual([101, 1])
    await until(() => {
      now += 1
      client.send(rude, text('y'))
      return dials === 3
    })
  })

  it('begins the back-off anew after a success', async () => {
    let now = 0
    vi.spyOn(performance, 'now').mockImplementation(() => now)
    const first = await listen(new Recorder())
    const to = first.address
    await first.close()
    const client = dial('x', new Recorder())
    const failOnce = async (): Promise<void> => {
      const lost = client.framesLost
      client.send(to, text('nobody there'))
      await until(() => client.framesLost === lost + 1)
    }
    for (const wait of [25, 50, 100]) {
      await failOnce()
      now += wait
    }
    const arrives = async (): Promise<void> => {
      const saw = new Recorder()
      const server = await listen(saw, {}, portOf(first))
      client.send(to, text('x'))
      await until(() => saw.frames.length === 1)
      await server.close()
    }
    const lost = client.framesLost
    await arrives()
    await until(() => {
      client.send(to, text('until the end is noticed'))
      return client.framesLost > lost
    })
    now += 25
    await arrives()
  })

  it('closes while it dials, and while strangers are connected', async () => {
    const { address: mute } = await plainServer(() => {})
    const server = await listen(new Recorder())
    const { state } = await stranger(server)
    server.send(mute, text('waits'))
    const { address: at } = server
    await server.close()
    expect(server.framesLost).toBe(1)
    const again = await listen(new Recorder(), {}, portOf(server))
    expect(again.address).toBe(at)
    await until(() => state.closed)
  })
})

describe('tcp, options', () => {
  const handler = new Recorder()

  it('refuses to listen beyond loopback unless told to', async () => {
    for (const beyond of ['0.0.0.0', '::', '', '192.0.2.1', 'example.org', '127.0.0.1.example.org', '127.1']) {
      await expect(listenTcp({ host: beyond, port: 0, handler }), beyond).rejects.toMatchObject({
        code: 'EC_BAD_ARGUMENT',
        message: expect.stringContaining('loopback'),
        hint: expect.stringContaining('insecure: true'),
      })
    }
    const wide = await listenTcp({ host: '0.0.0.0', port: 0, advertise: 'localhost', insecure: true, handler })
    closers.push(() => wide.close())
    expect(wide.address).toMatch(/^localhost:\d+$/)
    for (const loopback of ['127.0.0.1', '127.0.0.2', 'localhost']) {
      await (await listenTcp({ host: loopback, port: 0, handler })).close()
    }
  })

  it('wants an address that others can use', async () => {
    const refused = { code: 'EC_BAD_ARGUMENT' }
    await expect(listenTcp({ host: '0.0.0.0', port: 0, insecure: true, handler })).rejects.toMatchObject(refused)
    for (const everybody of ['0.0.0.0', '::', '0:0:0:0:0:0:0:0', '::0', '0', '::0.0.0.0']) {
      const listen = { host, port: 0, insecure: true, handler }
      await expect(listenTcp({ ...listen, host: everybody }), everybody).rejects.toMatchObject(refused)
      await expect(listenTcp({ ...listen, advertise: everybody }), everybody).rejects.toMatchObject(refused)
      const advertise = everybody.includes(':') ? `[${everybody}]:1` : `${everybody}:1`
      await expect(listenTcp({ ...listen, advertise }), everybody).rejects.toMatchObject(refused)
    }
    await expect(listenTcp({ host, port: 0, advertise: 'a b:1', handler })).rejects.toMatchObject(refused)
    await expect(listenTcp({ host, port: 0, advertise: 'a:70000', handler })).rejects.toMatchObject(refused)
    for (const port of [-1, 65_536, 1.5, Number.NaN]) {
      await expect(listenTcp({ host, port, handler }), `${port}`).rejects.toMatchObject(refused)
    }
    for (const name of ['', 'a b', 'é', 'x'.repeat(249)]) {
      expect(() => dialTcp({ name, handler }), name).toThrowError(expect.objectContaining(refused))
    }
    expect(dialTcp({ name: 'x'.repeat(248), handler }).address).toHaveLength(255)
  })

  it('names a port that is in use', async () => {
    const server = await listen(new Recorder())
    await expect(listenTcp({ host, port: portOf(server), handler })).rejects.toMatchObject({
      code: 'EC_BAD_ARGUMENT',
      message: expect.stringContaining(server.address),
      hint: expect.stringContaining('another port'),
    })
  })

  it('reads addresses', () => {
    expect(parseHostPort('localhost:7400')).toEqual({ host: 'localhost', port: 7400 })
    expect(parseHostPort('[::1]:65535')).toEqual({ host: '::1', port: 65_535 })
    for (const wrong of [
      '',
      'a',
      'a:',
      ':1',
      'a:0',
      'a:65536',
      'a:1e3',
      '::1:7400',
      'client:7400',
      'a:b:1',
      '[a]b:1',
    ]) {
      expect(parseHostPort(wrong), wrong).toBeUndefined()
    }
  })

  it('reads the hello that it writes', () => {
    for (const name of ['client:x', '[::1]:7400', `client:${'x'.repeat(248)}`]) {
      expect(decodeHello(hello(name).subarray(4))).toBe(name)
    }
  })
})

describe('BackOff', () => {
  it('doubles from 25 ms to 1 s, and begins anew after a success', () => {
    const backOff = new BackOff()
    const to = address('a:1')
    const waits: number[] = []
    for (let now = 0; waits.length < 8; ) {
      backOff.failed(to, now)
      const failedAt = now
      while (backOff.waiting(to, now)) now += 1
      waits.push(now - failedAt)
    }
    expect(waits).toEqual([25, 50, 100, 200, 400, 800, 1_000, 1_000])
    backOff.succeeded(to)
    expect(backOff.waiting(to, 0)).toBe(false)
    backOff.failed(to, 0)
    expect(backOff.waiting(to, 24)).toBe(true)
    expect(backOff.waiting(to, 25)).toBe(false)
  })

  it('remembers a bounded number of addresses', () => {
    const backOff = new BackOff()
    for (let index = 0; index <= 1_024; index += 1) backOff.failed(address(`a:${index}`), 0)
    expect(backOff.waiting(address('a:0'), 0)).toBe(false)
    expect(backOff.waiting(address('a:1'), 0)).toBe(true)
    expect(backOff.waiting(address('a:1024'), 0)).toBe(true)
  })
})
