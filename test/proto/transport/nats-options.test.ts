// Goal: a nats:// url says how NATS is reached, or what is wrong with it, and never shows a password. Method: urls as text.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  formatNatsUrl,
  isNatsUrl,
  type NatsOptions,
  natsServer,
  parseNatsUrl,
  withoutPassword,
} from '../../../proto/transport/nats-options.ts'

const refused = (text: string) =>
  expect.objectContaining({ code: 'EC_BAD_ARGUMENT', message: expect.stringContaining(text) })

describe('nats:// urls', () => {
  it('say servers, credentials and prefix', () => {
    expect(parseNatsUrl('nats://a')).toEqual({ servers: ['a:4222'] })
    expect(parseNatsUrl('nats://a:1,b,[::1]:2/')).toEqual({ servers: ['a:1', 'b:4222', '[::1]:2'] })
    expect(parseNatsUrl('nats://u:p%40ss@a')).toEqual({ servers: ['a:4222'], user: 'u', password: 'p@ss' })
    expect(parseNatsUrl('nats://t0ken@a?prefix=x.y')).toEqual({ servers: ['a:4222'], token: 't0ken', prefix: 'x.y' })
    expect(parseNatsUrl('nats://a?creds=./my.creds')).toEqual({ servers: ['a:4222'], creds: './my.creds' })
    expect(parseNatsUrl('tls://a')).toEqual({ servers: ['a:4222'], tls: {} })
    expect(parseNatsUrl('nats://a?ca=c&cert=d&key=e').tls).toEqual({ ca: 'c', cert: 'd', key: 'e' })
    expect([isNatsUrl('nats://a'), isNatsUrl('tls://a'), isNatsUrl('epochcast://a')]).toEqual([true, true, false])
  })

  it('are refused by name', () => {
    for (const [url, text] of [
      ['nats://', 'not a nats:// url'],
      ['nats://a:0', 'not host:port'],
      ['nats://a:65536', 'not host:port'],
      ['nats://a,,b', 'not host:port'],
      ['nats://u:p@a?creds=x', 'one kind of credentials'],
      ['nats://a?cert=x', 'cert and key together'],
      ['nats://a?user=x', 'user is not known'],
      ['nats://a?creds=', 'has no value'],
      ['nats://a?prefix=a..b', 'prefix'],
      ['nats://a?prefix=a.*', 'prefix'],
      ['nats://%zz:p@a', 'percent-encoded'],
      ['nats://a#b', 'not a nats:// url'],
    ] as const) {
      expect(() => parseNatsUrl(url), url).toThrow(refused(text))
    }
  })

  it('are read as they were written', () => {
    const login = fc.oneof(
      fc.constant({}),
      fc.record({ user: fc.string({ minLength: 1 }), password: fc.string() }),
      fc.record({ token: fc.stringMatching(/^[^:]+$/) }),
      fc.record({ creds: fc.string({ minLength: 1 }) }),
      fc.record({ nkey: fc.string({ minLength: 1 }) }),
    )
    const options = fc.record(
      {
        login,
        tls: fc.option(fc.record({ ca: fc.string({ minLength: 1 }) })),
        prefix: fc.stringMatching(/^[a-z]{1,9}$/),
      },
      { requiredKeys: ['login'] },
    )
    const property = fc.property(options, ({ login: given, tls, prefix }) => {
      const whole: NatsOptions = {
        servers: ['a:1', 'b.example:4222'],
        ...given,
        ...(tls && { tls }),
        ...(prefix !== undefined && { prefix }),
      }
      expect(parseNatsUrl(formatNatsUrl(whole))).toEqual(whole)
    })
    fc.assert(property)
  })

  it('are shown without a password', () => {
    expect(withoutPassword('nats://u:p%40ss@a:1?prefix=x')).toBe('nats://…@a:1?prefix=x')
    expect(withoutPassword('nats://a:1')).toBe('nats://a:1')
    expect(natsServer('nats://a')).toBe('a:4222')
  })
})
