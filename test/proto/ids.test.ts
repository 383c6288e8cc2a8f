// Goal: what is no id is refused as such, whatever its type. Method: values of all types, also those that lie or throw.
import { describe, expect, it } from 'vitest'
import { address, epoch, parseMessageId, publisherId, sequence, serverId, topicName } from '../../proto/ids.ts'
import { shown } from '../../proto/shown.ts'

const { proxy: revoked, revoke } = Proxy.revocable({}, {})
revoke()
const liar = {
  toString() {
    throw new Error('asked')
  },
}
const values: unknown[] = [
  null,
  undefined,
  5,
  5n,
  true,
  Symbol('a'),
  [],
  ['a'],
  {},
  liar,
  revoked,
  () => 'a',
  new Map(),
]

describe('ids', () => {
  it('are text, and no value that becomes text', () => {
    const checks = [topicName, serverId, publisherId, address, parseMessageId] as readonly ((text: never) => unknown)[]
    for (const check of checks) {
      for (const value of [...values, ['a'], '']) {
        expect(() => check(value as never)).toThrowError(expect.objectContaining({ code: 'EC_BAD_ARGUMENT' }))
      }
    }
  })

  it('are numbers, and no value that becomes a number', () => {
    for (const value of [...values.filter((one) => one !== 5), '5', -1, 1.5, Number.NaN, 2 ** 53]) {
      expect(() => epoch(value as never)).toThrowError(expect.objectContaining({ code: 'EC_BAD_ARGUMENT' }))
      expect(() => sequence(value as never)).toThrowError(expect.objectContaining({ code: 'EC_BAD_ARGUMENT' }))
    }
  })

  it('of messages are written in one way', () => {
    expect(parseMessageId('4-00ff00ff00ff00ff-17')).toMatchObject({ epoch: 4, sequence: 17 })
    for (const text of [
      '0-00ff00ff00ff00ff-1',
      '4-00ff00ff00ff00ff-0',
      '04-00ff00ff00ff00ff-1',
      '4-00FF00FF00FF00FF-1',
    ]) {
      expect(() => parseMessageId(text)).toThrowError(expect.objectContaining({ code: 'EC_BAD_ARGUMENT' }))
    }
  })
})

describe('shown', () => {
  it('names a value without calling anything of it', () => {
    expect([...values, 'text', Number.NaN].map(shown)).toEqual([
      'null',
      'undefined',
      '5',
      '5n',
      'true',
      'Symbol(a)',
      'an array',
      'an array',
      'an object',
      'an object',
      'an object',
      'a function',
      'an object of class Map',
      '"text"',
      'NaN',
    ])
  })
})
