// Goal: a frame in pieces arrives whole or not at all, and takes bounded memory; who is there is told once, and again for another life.
// Method: pieces in every order, with some missing; no NATS.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { address } from '../../../proto/ids.ts'
import { Pieces, pieceHeadBytes, pieceParcels } from '../../../proto/transport/nats-parcels.ts'
import { Peers } from '../../../proto/transport/nats-peers.ts'

const frameOf = (length: number, seed: number) => Buffer.from(Array.from({ length }, (_, at) => (at * 7 + seed) % 251))
const partsOf = (frame: Buffer, number: number, bytesMax: number) =>
  pieceParcels([frame.subarray(0, 3), frame.subarray(3)], frame.length, number, bytesMax)

describe('pieces', () => {
  it('make the frame again, whatever its size', () => {
    const sizes = fc.record({ length: fc.integer({ min: 4, max: 500 }), step: fc.integer({ min: 1, max: 60 }) })
    const property = fc.property(sizes, ({ length, step }) => {
      const pieces = new Pieces(1_000)
      const frame = frameOf(length, length)
      const parcels = partsOf(frame, 1, pieceHeadBytes + step)
      const made = parcels.map((parcel) => pieces.take('a', parcel))
      expect(made.slice(0, -1).every((one) => one === undefined)).toBe(true)
      expect(frame.equals(made.at(-1) as Uint8Array)).toBe(true)
    })
    fc.assert(property)
  })

  it('never make a frame that was not sent, whichever get lost, double or out of order', () => {
    const [first, second] = [frameOf(40, 1), frameOf(40, 2)]
    const sent = [...partsOf(first, 1, pieceHeadBytes + 10), ...partsOf(second, 2, pieceHeadBytes + 10)]
    const arrivals = fc.array(fc.integer({ min: 0, max: sent.length - 1 }), { maxLength: 30 })
    const property = fc.property(arrivals, (order) => {
      const pieces = new Pieces(1_000)
      for (const at of order) {
        const made = pieces.take('a', sent[at] as Uint8Array)
        if (made !== undefined) expect(first.equals(made) || second.equals(made)).toBe(true)
      }
    })
    fc.assert(property, { numRuns: 1_000 })
  })

  it('are refused when they say more than is allowed, or less than they are', () => {
    const pieces = new Pieces(100)
    const [large] = partsOf(frameOf(101, 0), 1, pieceHeadBytes + 200)
    expect(pieces.take('a', large as Uint8Array)).toBeUndefined()
    const [whole] = partsOf(frameOf(100, 0), 1, pieceHeadBytes + 200)
    expect(pieces.take('a', whole as Uint8Array)?.length).toBe(100)
    const beyond = Buffer.from(whole as Uint8Array)
    beyond.writeUInt32BE(1, 9)
    expect(pieces.take('a', beyond)).toBeUndefined()
    for (const length of [0, 1, pieceHeadBytes]) expect(pieces.take('a', Buffer.alloc(length, 1))).toBeUndefined()
  })

  it('of too many senders at once are forgotten, the oldest first', () => {
    const pieces = new Pieces(100, 2)
    const parcels = partsOf(frameOf(20, 0), 1, pieceHeadBytes + 10)
    for (const sender of ['a', 'b', 'c']) pieces.take(sender, parcels[0] as Uint8Array)
    expect(pieces.take('a', parcels[1] as Uint8Array)).toBeUndefined()
    expect(pieces.take('b', parcels[1] as Uint8Array)?.length).toBe(20)
    expect(pieces.take('c', parcels[1] as Uint8Array)?.length).toBe(20)
  })
})

describe('peers', () => {
  it('are told once for every life', () => {
    const hints: string[] = []
    const peers = new Peers((at, up) => hints.push(`${up ? '+' : '-'}${at}`))
    const at = address('nats/a')
    const peer = peers.add(at, 'x.s.a')
    peers.down(peer)
    expect([peers.heard(peer, { address: at, life: '1' }), peers.heard(peer, { address: at, life: '1' })]).toEqual([
      true,
      false,
    ])
    expect(peers.heard(peer, { address: at, life: '2' })).toBe(true)
    peers.down(peer)
    peers.down(peer)
    expect(hints).toEqual(['+nats/a', '-nats/a', '+nats/a', '-nats/a'])
    expect(peers.onRoute(peer.route)).toBe(peer)
  })

  it('are kept in bounds: those that are not there go first, servers stay', () => {
    const hints: string[] = []
    const peers = new Peers((at, up) => hints.push(`${up ? '+' : '-'}${at}`))
    const up = (name: string) => {
      const peer = peers.add(address(name), name)
      peers.heard(peer, { address: peer.address, life: '1' })
    }
    up('nats/a')
    for (let index = 0; index < 70_000; index += 1) up(`client:${index}`)
    expect(peers.up().length).toBeLessThanOrEqual(65_536)
    expect(peers.find(address('nats/a'))?.isUp).toBe(true)
    expect(peers.find(address('client:0'))).toBeUndefined()
    expect(hints).toContain('-client:0')
  })
})
