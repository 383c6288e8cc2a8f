import fc from 'fast-check'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { FrameSplitter, framePrefix, joinSmallParts } from '../../../proto/transport/framing.ts'

// Goal: bytes cut anywhere give the same frames, and no length takes memory before it was checked.
// Method: random frames and cuts; declared lengths at and around the limits, with the allocator watched.

const frameBytesMax = 1_000

function split(chunks: readonly Uint8Array[], splitter = new FrameSplitter(frameBytesMax)): Uint8Array[] {
  const frames: Uint8Array[] = []
  for (const chunk of chunks) {
    splitter.feed(chunk)
    for (let frame = splitter.next(); frame !== undefined; frame = splitter.next()) frames.push(frame)
  }
  return frames
}

function stream(frames: readonly Uint8Array[]): Buffer {
  return Buffer.concat(frames.flatMap((frame) => [framePrefix(frame.length), frame]))
}

function cut(bytes: Buffer, lengths: readonly number[]): Uint8Array[] {
  const chunks: Uint8Array[] = []
  let offset = 0
  for (const length of lengths) {
    chunks.push(bytes.subarray(offset, offset + length))
    offset += length
  }
  return [...chunks, bytes.subarray(offset)]
}

afterEach(() => {
  vi.restoreAllMocks()
})

describe('FrameSplitter', () => {
  it('gives the same frames for any split of the bytes', () => {
    const frame = fc.uint8Array({ minLength: 1, maxLength: 40 })
    const property = fc.property(
      fc.array(frame, { maxLength: 12 }),
      fc.array(fc.nat(30), { maxLength: 40 }),
      (frames, lengths) => {
        const got = split(cut(stream(frames), lengths))
        expect(got.map((bytes) => Array.from(bytes))).toEqual(frames.map((bytes) => Array.from(bytes)))
      },
    )
    fc.assert(property, { numRuns: 500 })
  })

  it('gives the same frames byte by byte', () => {
    const frames = [1, 255, 256, 257, frameBytesMax].map((size, index) => Buffer.alloc(size, index + 1))
    const bytes = stream(frames)
    const got = split(Array.from(bytes, (byte) => Uint8Array.of(byte)))
    expect(got.map((frame) => Buffer.from(frame).toString('hex'))).toEqual(frames.map((frame) => frame.toString('hex')))
  })

  it('hands on a frame inside one chunk as a view, also when its length came before', () => {
    const chunk = stream([Buffer.from('one'), Buffer.from('two')])
    for (const frame of split([chunk])) expect(frame.buffer).toBe(chunk.buffer)
    const body = Buffer.from('three')
    const [frame] = split([framePrefix(5), body])
    expect(frame?.buffer).toBe(body.buffer)
    expect(Buffer.from(frame as Uint8Array).toString()).toBe('three')
  })

  it('assembles a frame that spans chunks in one buffer of exactly its size', () => {
    const allocate = vi.spyOn(Buffer, 'allocUnsafeSlow')
    const bytes = stream([Buffer.alloc(900, 7)])
    const [frame] = split(cut(bytes, [100, 100, 100, 100, 100]))
    expect(frame?.buffer.byteLength).toBe(900)
    expect(allocate.mock.calls).toEqual([[900]])
  })

  it('refuses lengths of 0 and above the limit without taking memory', () => {
    const allocate = vi.spyOn(Buffer, 'allocUnsafeSlow')
    const refusals: [number, string][] = [
      [0, 'EC_BAD_MESSAGE'],
      [frameBytesMax + 1, 'EC_FRAME_TOO_LARGE'],
      [2 ** 31 - 1, 'EC_FRAME_TOO_LARGE'],
      [2 ** 31, 'EC_FRAME_TOO_LARGE'],
      [2 ** 32 - 1, 'EC_FRAME_TOO_LARGE'],
    ]
    for (const [length, code] of refusals) {
      const chunk = Buffer.concat([framePrefix(length), Buffer.from('x')])
      expect(() => split([chunk]), `${length}`).toThrowError(expect.objectContaining({ code }))
    }
    expect(allocate).not.toHaveBeenCalled()
    expect(split([stream([Buffer.alloc(frameBytesMax)])])).toHaveLength(1)
  })

  it('takes no memory for a length whose frame has not begun', () => {
    const allocate = vi.spyOn(Buffer, 'allocUnsafeSlow')
    expect(split([framePrefix(frameBytesMax), new Uint8Array(0)])).toEqual([])
    expect(allocate).not.toHaveBeenCalled()
  })

  it('applies a new limit from the next frame on', () => {
    const splitter = new FrameSplitter(3)
    splitter.feed(stream([Buffer.alloc(3), Buffer.alloc(4)]))
    expect(splitter.next()).toHaveLength(3)
    splitter.frameBytesMax = 4
    expect(splitter.next()).toHaveLength(4)
  })

  it('stops when it is fed before it is empty, rather than lose bytes', () => {
    const splitter = new FrameSplitter(frameBytesMax)
    splitter.feed(stream([Buffer.from('a'), Buffer.from('b')]))
    splitter.next()
    expect(() => splitter.feed(Buffer.from('c'))).toThrowError('framing')
  })
})

describe('joinSmallParts', () => {
  it('keeps the bytes, passes large parts on as they are, and leaves no two small ones side by side', () => {
    const sizes = fc.array(fc.constantFrom(0, 1, 4, 100, 2_048, 2_049, 5_000), { maxLength: 60 })
    const property = fc.property(sizes, (lengths) => {
      const parts = lengths.map((length, index) => Buffer.alloc(length, index))
      const joined = joinSmallParts(parts)
      expect(Buffer.concat(joined).equals(Buffer.concat(parts))).toBe(true)
      const large = parts.filter((part) => part.length > 2_048)
      expect(joined.filter((piece) => large.some((part) => part === piece))).toHaveLength(large.length)
      expect(joined.length).toBeLessThanOrEqual(2 * large.length + 1 + Math.floor((lengths.length * 2_048) / 65_536))
    })
    fc.assert(property, { numRuns: 200 })
  })
})
