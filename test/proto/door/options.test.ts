// Goal: what is not an option, or not a value that it takes, is refused by name; what is taken is a copy. Method: one small table,
// and values that lie, throw or change.
import { describe, expect, it } from 'vitest'
import { duration, flag, moment, signal, text, whole, word } from '../../../proto/door/checks.ts'
import { optionsOf } from '../../../proto/door/options.ts'

interface Options {
  readonly timeoutMs?: number
  readonly mode?: 'one' | 'two'
  readonly isLoud?: boolean
}
const read = optionsOf<Options>('call', { timeoutMs: duration, mode: word(['one', 'two']), isLoud: flag })
const bad = expect.objectContaining({ code: 'EC_BAD_ARGUMENT' })

describe('options', () => {
  it('are those of the table, and nothing else', () => {
    expect(read(undefined)).toEqual({})
    expect(read({ timeoutMs: 5, mode: 'two', isLoud: undefined })).toEqual({ timeoutMs: 5, mode: 'two' })
    expect(() => read({ timeout: 5 })).toThrow('call has no option "timeout"; did you mean timeoutMs?')
    expect(() => read(JSON.parse('{ "__proto__": 5 }'))).toThrow('has no option "__proto__"')
    expect(() => read({ constructor: 5 })).toThrow('has no option "constructor"')
    expect(() => read({ mode: 'tow' })).toThrow('mode "tow" is none of one, two')
  })

  it('stand in a plain object', () => {
    for (const given of [null, 5, 'x', [], new Map(), new Date(), () => 1, AbortSignal.abort(), { [Symbol('a')]: 1 }]) {
      expect(() => read(given)).toThrow(bad)
    }
    expect(read(Object.assign(Object.create(null), { timeoutMs: 1 }))).toEqual({ timeoutMs: 1 })
  })

  it('are read once, and what throws while they are read refuses the call', () => {
    let reads = 0
    const changing = {
      get timeoutMs() {
        return reads++ === 0 ? 5 : -5
      },
    }
    expect(read(changing)).toEqual({ timeoutMs: 5 })
    const throwing = {
      get timeoutMs(): number {
        throw new Error('not now')
      },
    }
    const { proxy, revoke } = Proxy.revocable({}, {})
    revoke()
    expect(() => read(throwing)).toThrow('cannot be read: not now')
    expect(() => read(proxy)).toThrow(bad)
  })
})

describe('single values', () => {
  it('are times with an end, or without one', () => {
    for (const good of [0, 0.5, 2 ** 31, 2 ** 53, Number.POSITIVE_INFINITY]) expect(duration(good, 'x')).toBe(good)
    for (const one of [-1, Number.NaN, '5s', '5', 5n, null, Number.NEGATIVE_INFINITY, new Date()]) {
      expect(() => duration(one, 'timeoutMs')).toThrow(bad)
    }
    expect(moment(new Date(7), 'time')).toBe(7)
    for (const one of [new Date(Number.NaN), Number.NaN, 9e15, '2020', null])
      expect(() => moment(one, 'time')).toThrow(bad)
  })

  it('are whole numbers in their range', () => {
    expect(whole(1, 3)(3, 'size')).toBe(3)
    for (const one of [0, 4, -3, 1.5, '2', 2n, Number.NaN, 2 ** 53]) expect(() => whole(1, 3)(one, 'size')).toThrow(bad)
  })

  it('are text that comes back as it was', () => {
    expect(text(5, 0)('', 'key')).toBe('')
    for (const one of ['', 'abcdef', '\uD83D', 5, ['a']]) expect(() => text(5)(one, 'key')).toThrow(bad)
  })

  it('are signals that can be listened to', () => {
    expect(signal(AbortSignal.abort(), 'signal').aborted).toBe(true)
    for (const one of [new AbortController(), {}, true, null]) expect(() => signal(one, 'signal')).toThrow(bad)
  })
})

describe('a signal of a library', () => {
  it('is one that can be listened to, and no longer', () => {
    const target = new EventTarget()
    const like = (more: object) => ({
      aborted: false,
      addEventListener: () => {},
      removeEventListener: () => {},
      ...more,
    })
    const throws = () => {
      throw new Error('no')
    }
    expect(signal(Object.assign(target, { aborted: false }), 'signal')).toBe(target)
    for (const given of [
      like({ removeEventListener: undefined }),
      like({ addEventListener: throws }),
      like({ removeEventListener: throws }),
      Object.defineProperty(like({}), 'aborted', { get: throws }),
    ]) {
      expect(() => signal(given, 'signal')).toThrow(bad)
    }
  })
})
