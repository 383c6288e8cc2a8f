// Goal: an error that is written as JSON says what it says to people, with all of its causes. Method: chains of causes.
import { describe, expect, it } from 'vitest'
import { EpochcastError } from '../../proto/errors.ts'

const json = (error: EpochcastError) => JSON.parse(JSON.stringify(error))

describe('an error as JSON', () => {
  it('has its code, its text, its hint, and its causes', () => {
    const closed = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' })
    const inner = new EpochcastError('EC_UNREACHABLE', 'no server', { cause: closed, hint: 'start one' })
    expect(json(new EpochcastError('EC_TIMEOUT', 'too long', { cause: inner, messageId: '1-a-1' }))).toEqual({
      ...{ name: 'EpochcastError', code: 'EC_TIMEOUT', message: 'too long', retryable: true, messageId: '1-a-1' },
      cause: {
        ...{ name: 'EpochcastError', code: 'EC_UNREACHABLE', message: 'no server', hint: 'start one' },
        cause: { name: 'Error', code: 'ECONNREFUSED', message: 'connect ECONNREFUSED' },
      },
    })
  })

  it('has several causes of one error, and those that are no errors', () => {
    const cause = new AggregateError([new Error('one'), 'two', 3n, Symbol('four'), {}], 'all')
    expect(json(new EpochcastError('EC_UNREACHABLE', 'x', { cause })).cause.errors).toEqual([
      { name: 'Error', message: 'one' },
      'two',
      '3n',
      'Symbol(four)',
      'an object',
    ])
  })

  it('ends where causes go round in a circle', () => {
    const first: Error = new Error('first')
    const second = new Error('second', { cause: first })
    first.cause = second
    expect(JSON.stringify(new EpochcastError('EC_CLOSED', 'x', { cause: first })).match(/second/g)).toHaveLength(2)
  })
})
