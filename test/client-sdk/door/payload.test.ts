// Goal: a value becomes bytes, or is refused. Method: values that look like bytes, and codecs that do not keep their word.
import { describe, expect, it } from 'vitest'
import { bytes, json, text as textCodec } from '../../../client-sdk/codecs.ts'
import { encoded } from '../../../client-sdk/door/payload.ts'
import { codecs } from './values.ts'

const bad = expect.objectContaining({ code: 'EC_BAD_ARGUMENT' })

describe('payloads', () => {
  it('are bytes, and nothing that has bytes in it', () => {
    const gone = new Uint8Array(4)
    structuredClone(gone.buffer, { transfer: [gone.buffer] })
    const buffer = new ArrayBuffer(3)
    const views = [buffer, new DataView(buffer), new Uint16Array(2), new Uint8ClampedArray(2), gone]
    const others = [
      null,
      undefined,
      1,
      'hello',
      [1, 2],
      {},
      new Proxy(new Uint8Array(2), {}),
      Object.create(Uint8Array.prototype),
    ]
    for (const value of [...views, ...others]) expect(() => encoded(bytes(), value as never)).toThrow(bad)
    for (const value of [Buffer.from('a'), new Uint8Array(0), new Uint8Array(new SharedArrayBuffer(2))]) {
      expect(encoded(bytes(), value)).toBe(value)
    }
  })

  it('are not what JSON or UTF-8 would have in their place', () => {
    const circle: { itself?: object } = {}
    circle.itself = circle
    for (const value of [
      undefined,
      () => 1,
      Symbol('a'),
      5n,
      circle,
      Number.NaN,
      new Map(),
      new Set(),
      Promise.resolve(),
      /x/,
      new Error('x'),
      new ArrayBuffer(2),
      new Uint8Array(2),
      new URLSearchParams('a=1'),
      new Date(Number.NaN),
      { at: { in: new Map([['a', 1]]) } },
      [new Set([1])],
      { body: new Uint8Array(2) },
      { later: Promise.resolve() },
      {
        toJSON: () => new Map(),
      },
    ]) {
      expect(() => encoded(json(), value)).toThrow(bad)
    }
    expect(Buffer.from(encoded(json(), { at: new Date(0), no: undefined })).toString()).toBe(
      '{"at":"1970-01-01T00:00:00.000Z"}',
    )
    for (const value of [{}, { 0: 'a' }, [{}], { at: { '0': {} } }, null]) {
      expect(json().decode(encoded(json(), value))).toEqual(value)
    }
    expect(json().decode(encoded(json(), '\uD83D'))).toBe('\uD83D')
    for (const value of [5, null, ['a'], '\uD83D']) expect(() => encoded(textCodec(), value as never)).toThrow(bad)
  })

  it('are made at once by codecs that keep their word', () => {
    for (const codec of codecs) expect(() => encoded(codec, 'x')).toThrow(bad)
  })
})
