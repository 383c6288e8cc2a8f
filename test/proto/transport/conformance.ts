import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Address } from '../../../proto/ids.ts'
import type { Transport, TransportHandler, TransportLimits } from '../../../proto/transport/port.ts'
import { quietMoment, Recorder, text, until } from './recorder.ts'

/** A fresh network with nobody in it. */
export interface TransportNetwork {
  /** Addresses that have the right form and where nobody is. */
  readonly unknown: readonly Address[]
  /** A new server, at `at` when an earlier one was there. */
  listen(handler: TransportHandler, limits?: Partial<TransportLimits>, at?: Address): Promise<Transport>
  /** A new client. */
  dial(name: string, handler: TransportHandler, limits?: Partial<TransportLimits>): Promise<Transport>
}

const kib = 1024
const frameBytesMax = 256 * kib
const sizes = [
  1,
  2,
  3,
  4,
  5,
  511,
  512,
  513,
  2047,
  2048,
  2049,
  65_531,
  65_532,
  65_533,
  65_536,
  frameBytesMax - 1,
  frameBytesMax,
]

/**
 * Goal: every transport keeps the contract of `proto/transport/port.ts`, whatever carries the bytes.
 * Method: servers and clients of one network send to each other and record everything that they are told.
 */
export function describeTransport(name: string, make: () => TransportNetwork | Promise<TransportNetwork>): void {
  describe(`${name} transport`, () => {
    let network: TransportNetwork
    const open: Transport[] = []
    const listen = async (recorder: Recorder, limits?: Partial<TransportLimits>, at?: Address): Promise<Transport> => {
      const transport = await network.listen(recorder, limits, at)
      open.push(transport)
      return transport
    }
    const dial = async (recorder: Recorder, limits?: Partial<TransportLimits>): Promise<Transport> => {
      const transport = await network.dial(`test-${open.length}`, recorder, limits)
      open.push(transport)
      return transport
    }

    beforeEach(async () => {
      network = await make()
    })

    afterEach(async () => {
      await Promise.all(open.splice(0).map((transport) => transport.close()))
    })

    it('carries whole frames of every size up to the limit, both ways, unchanged', async () => {
      const [serverSaw, clientSaw] = [new Recorder(), new Recorder()]
      const server = await listen(serverSaw, { frameBytesMax })
      const client = await dial(clientSaw, { frameBytesMax })
      serverSaw.onFrame = (from, bytes) => server.send(from, [bytes])
      const sent = sizes.map((size, index) => Buffer.alloc(size, index + 1))
      for (const frame of sent) client.send(server.address, [frame])
      await until(() => clientSaw.frames.length === sent.length)
      for (const [index, frame] of sent.entries()) {
        expect(frame.equals(serverSaw.frames[index] as Uint8Array), `size ${frame.length} there`).toBe(true)
        expect(frame.equals(clientSaw.frames[index] as Uint8Array), `size ${frame.length} and back`).toBe(true)
      }
      expect(new Set(serverSaw.senders)).toEqual(new Set([client.address]))
      expect(new Set(clientSaw.senders)).toEqual(new Set([server.address]))
      expect([server.framesLost, client.framesLost]).toEqual([0, 0])
    })

    it('refuses one byte above the limit, and an empty frame, at send', async () => {
      const saw = new Recorder()
      const server = await listen(saw, { frameBytesMax })
      const client = await dial(new Recorder(), { frameBytesMax })
      const halves = [Buffer.alloc(frameBytesMax / 2), Buffer.alloc(frameBytesMax / 2)]
      expect(() => client.send(server.address, [...halves, Buffer.alloc(1)])).toThrowError(
        expect.objectContaining({ code: 'EC_FRAME_TOO_LARGE', retryable: false }),
      )
      expect(() => client.send(server.address, [])).toThrowError(expect.objectContaining({ code: 'EC_BAD_ARGUMENT' }))
      expect(() => client.send(server.address, [Buffer.alloc(0)])).toThrowError(
        expect.objectContaining({ code: 'EC_BAD_ARGUMENT' }),
      )
      client.send(server.address, halves)
      await until(() => saw.frames.length === 1)
      expect(saw.frames[0]?.length).toBe(frameBytesMax)
      expect(client.framesLost).toBe(0)
    })

    it('joins the parts of a frame, small, large and empty ones', async () => {
      const saw = new Recorder()
      const server = await listen(saw)
      const client = await dial(new Recorder())
      const parts = [0, 1, 70 * kib, 3, 0, 2 * kib, 2 * kib + 1, 5].map((size, index) => Buffer.alloc(size, index + 1))
      const many = Array.from({ length: 200_000 }, (_, index) => Buffer.of(index % 256))
      client.send(server.address, parts)
      client.send(server.address, many)
      await until(() => saw.frames.length === 2)
      expect(Buffer.concat(parts).equals(saw.frames[0] as Uint8Array)).toBe(true)
      expect(Buffer.concat(many).equals(saw.frames[1] as Uint8Array)).toBe(true)
    })

    it('tells nothing from inside send', async () => {
      const [aSaw, bSaw] = [new Recorder(), new Recorder()]
      const a = await listen(aSaw)
      const b = await listen(bSaw)
      for (let round = 1; round <= 3; round += 1) {
        a.send(b.address, text('question'))
        expect([aSaw.frames.length, bSaw.frames.length]).toEqual([0, round - 1])
        await until(() => bSaw.frames.length === round)
      }
    })

    it('keeps the order of a burst of 10,000 frames', async () => {
      const saw = new Recorder()
      const server = await listen(saw)
      const client = await dial(new Recorder())
      for (let index = 0; index < 10_000; index += 1) client.send(server.address, text(`${index}`))
      await until(() => saw.frames.length === 10_000)
      expect(saw.texts).toEqual(Array.from({ length: 10_000 }, (_, index) => `${index}`))
      expect(client.framesLost).toBe(0)
    })

    it('keeps the order also when both sides begin at the same moment', async () => {
      const [aSaw, bSaw] = [new Recorder(), new Recorder()]
      const a = await listen(aSaw)
      const b = await listen(bSaw)
      for (let index = 0; index < 100; index += 1) {
        a.send(b.address, text(`a${index}`))
        b.send(a.address, text(`b${index}`))
        if (index % 10 === 0) await new Promise((resolve) => setImmediate(resolve))
      }
      await until(() => aSaw.frames.length === 100 && bSaw.frames.length === 100)
      expect(aSaw.texts).toEqual(Array.from({ length: 100 }, (_, index) => `b${index}`))
      expect(bSaw.texts).toEqual(Array.from({ length: 100 }, (_, index) => `a${index}`))
      expect([aSaw.hints, bSaw.hints]).toEqual([[`+${b.address}`], [`+${a.address}`]])
      await Promise.all([a.close(), b.close()])
      expect([a.framesLost, b.framesLost]).toEqual([0, 0])
    })

    it('keeps the conversations of many apart', async () => {
      const saw = new Recorder()
      const server = await listen(saw)
      saw.onFrame = (from, bytes) => server.send(from, [Buffer.from('for '), bytes])
      const recorders = Array.from({ length: 20 }, () => new Recorder())
      for (const recorder of recorders) {
        const client = await dial(recorder)
        client.send(server.address, text(client.address))
      }
      await until(() => recorders.every((recorder) => recorder.frames.length === 1))
      const names = open.slice(1).map((client) => `for ${client.address}`)
      expect(recorders.map((recorder) => recorder.texts[0])).toEqual(names)
    })

    it('loses and counts frames for addresses where nobody is, without a throw or a hint', async () => {
      const [serverSaw, clientSaw] = [new Recorder(), new Recorder()]
      const server = await listen(serverSaw)
      const client = await dial(clientSaw)
      const nobody = [...network.unknown, 'client:nobody' as Address, 'nonsense' as Address, ' \0:1' as Address]
      for (const to of nobody) {
        client.send(to, text('x'))
        server.send(to, text('y'))
      }
      await until(() => client.framesLost === nobody.length && server.framesLost === nobody.length)
      expect([serverSaw.hints, clientSaw.hints]).toEqual([[], []])
      client.send(server.address, text('still alive'))
      await until(() => serverSaw.frames.length === 1)
    })

    it('survives a frame to its own address', async () => {
      const [serverSaw, clientSaw] = [new Recorder(), new Recorder()]
      const server = await listen(serverSaw)
      const client = await dial(clientSaw)
      server.send(server.address, text('x'))
      client.send(client.address, text('x'))
      client.send(server.address, text('still alive'))
      await until(() => serverSaw.texts.includes('still alive'))
    })

    it('hints once when a peer comes and once when it goes', async () => {
      const [serverSaw, clientSaw] = [new Recorder(), new Recorder()]
      const server = await listen(serverSaw)
      const client = await dial(clientSaw)
      for (let round = 0; round < 3; round += 1) client.send(server.address, text('hello'))
      await until(() => serverSaw.frames.length === 3 && clientSaw.hints.length === 1)
      await client.close()
      await until(() => serverSaw.hints.length === 2)
      expect(serverSaw.hints).toEqual([`+${client.address}`, `-${client.address}`])
      expect(clientSaw.hints).toEqual([`+${server.address}`])
      server.send(client.address, text('too late'))
      expect(server.framesLost).toBe(1)
    })

    it('tells nothing after close, loses what is sent then, and closes twice', async () => {
      const [serverSaw, clientSaw] = [new Recorder(), new Recorder()]
      const server = await listen(serverSaw)
      const client = await dial(clientSaw)
      client.send(server.address, text('first'))
      await until(() => serverSaw.frames.length === 1)
      for (let index = 0; index < 100; index += 1) {
        client.send(server.address, text('x'))
        server.send(client.address, text('y'))
      }
      const closed = server.close()
      const told = [serverSaw.frames.length, serverSaw.hints.length]
      await Promise.all([closed, server.close()])
      const lostBefore = server.framesLost
      server.send(client.address, text('after'))
      expect(server.framesLost).toBe(lostBefore + 1)
      await until(() => clientSaw.hints.includes(`-${server.address}`))
      await quietMoment()
      expect([serverSaw.frames.length, serverSaw.hints.length]).toEqual(told)
    })

    it('may be closed from inside a call, and tells nothing more', async () => {
      const saw = new Recorder()
      const server = await listen(saw)
      const client = await dial(new Recorder())
      const closing: Promise<void>[] = []
      saw.onFrame = () => closing.push(server.close())
      for (let index = 0; index < 10; index += 1) client.send(server.address, text('x'))
      await until(() => closing.length > 0)
      await Promise.all(closing)
      await quietMoment()
      expect(saw.frames.length).toBe(1)
    })

    it('reaches a server that came back at the same address', async () => {
      const [firstSaw, secondSaw, clientSaw] = [new Recorder(), new Recorder(), new Recorder()]
      const first = await listen(firstSaw)
      const client = await dial(clientSaw)
      client.send(first.address, text('1'))
      await until(() => firstSaw.frames.length === 1)
      await first.close()
      client.send(first.address, text('lost or not'))
      const second = await listen(secondSaw, {}, first.address)
      expect(second.address).toBe(first.address)
      secondSaw.onFrame = (from) => second.send(from, text('answer'))
      await until(() => {
        if (secondSaw.frames.length === 0) client.send(second.address, text('2'))
        return clientSaw.frames.length > 0
      })
      expect(secondSaw.texts.every((value) => value === '2' || value === 'lost or not')).toBe(true)
      expect(clientSaw.hints.slice(0, 3)).toEqual([`+${first.address}`, `-${first.address}`, `+${first.address}`])
      expect(firstSaw.frames.length).toBe(1)
    })

    it('lets a server that came back reach the others', async () => {
      const [firstSaw, secondSaw, otherSaw] = [new Recorder(), new Recorder(), new Recorder()]
      const first = await listen(firstSaw)
      const other = await listen(otherSaw)
      first.send(other.address, text('1'))
      await until(() => otherSaw.frames.length === 1)
      await first.close()
      const second = await listen(secondSaw, {}, first.address)
      otherSaw.onFrame = (from) => other.send(from, text('answer'))
      second.send(other.address, text('2'))
      await until(() => secondSaw.frames.length === 1)
      expect(otherSaw.texts).toEqual(['1', '2'])
      expect(otherSaw.senders).toEqual([first.address, first.address])
    })

    it('loses and counts what is above the queue bound, and carries the rest', async () => {
      const saw = new Recorder()
      const server = await listen(saw)
      const client = await dial(new Recorder(), { queueBytesMax: 100 * kib })
      /** @returns how many frames of one turn were kept, each of which arrives */
      const burst = async (): Promise<number> => {
        const [seen, lost] = [saw.frames.length, client.framesLost]
        for (let index = 0; index < 40; index += 1) client.send(server.address, [Buffer.alloc(10 * kib, index)])
        const kept = 40 - (client.framesLost - lost)
        expect(kept).toBeLessThanOrEqual(10)
        await until(() => saw.frames.length === seen + kept)
        expect(saw.frames.slice(seen).map((frame) => frame[0])).toEqual(Array.from({ length: kept }, (_, i) => i))
        return kept
      }
      expect(await burst(), 'before the first connection').toBeGreaterThanOrEqual(9)
      // Frames may have arrived before the sender knows that it is rid of them: then the queue is still full.
      for (let kept = 0; kept < 9; kept = await burst()) await quietMoment()
    })
  })
}
