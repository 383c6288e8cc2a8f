// Goal: what goes where is said once and found out before anything is carried. Method: patterns, templates, subjects as text.
import { describe, expect, it } from 'vitest'
import { BridgePlan } from '../../../broker/bridge/bridge.ts'
import { matches, SubjectMap, TopicMap } from '../../../broker/bridge/subject-map.ts'
import { topicName } from '../../../proto/ids.ts'

const refused = (text: string) =>
  expect.objectContaining({ code: 'EC_BAD_ARGUMENT', message: expect.stringContaining(text) })

describe('subjects to topics', () => {
  it('puts what wildcards stood for in their places', () => {
    expect(new SubjectMap('orders.>', 'orders.{1}').topicOf('orders.eu.de')).toBe('orders.eu.de')
    expect(new SubjectMap('a.*.b.*', 'x.{2}.{1}').topicOf('a.1.b.2')).toBe('x.2.1')
    expect(new SubjectMap('>', 'all').topicOf('whatever.it.is')).toBe('all')
    expect(new SubjectMap('plain.subject', 'plain').topicOf('plain.subject')).toBe('plain')
    expect(new SubjectMap('*.>', 'n-{1}').topicOf('eu.x')).toBe('n-eu')
  })

  it('refuses templates that cannot be filled', () => {
    expect(() => new SubjectMap('orders', 'orders.{1}')).toThrow(refused('{1}'))
    expect(() => new SubjectMap('orders.*', 'orders.{2}')).toThrow(refused('{2}'))
    expect(() => new SubjectMap('orders.*', 'orders.{0}')).toThrow(refused('{0}'))
    expect(() => new SubjectMap('orders.*', 'orders..{1}')).toThrow(refused('topic'))
    expect(() => new SubjectMap('orders.*', 'or ders')).toThrow(refused('topic'))
    expect(() => new SubjectMap('orders.*', 'orders.{x}')).toThrow(refused('topic'))
    for (const pattern of ['', 'a..b', 'a.>.b', 'a b', 'a.b*', '.a', 'a.']) {
      expect(() => new SubjectMap(pattern, 'x'), pattern).toThrow(refused('no subject'))
    }
  })

  it('refuses a subject whose words make no topic', () => {
    expect(() => new SubjectMap('orders.*', 'orders.{1}').topicOf('orders.é')).toThrow(refused('topic'))
  })
})

describe('topics to subjects', () => {
  it('puts the name in its place', () => {
    expect(new TopicMap('out.{topic}', ['a.b']).subjectOf(topicName('a.b'))).toBe('out.a.b')
    expect(() => new TopicMap('out', ['a', 'b'])).toThrow(refused('several topics'))
    expect(() => new TopicMap('out.>', ['a'])).toThrow(refused('wildcard'))
    expect(() => new TopicMap('out..x', ['a'])).toThrow(refused('no subject'))
  })
})

describe('a plan', () => {
  it('does not go round in circles', () => {
    const plan = (pattern: string, template: string) =>
      new BridgePlan({ pattern, template: 't.{1}' }, { topics: [topicName('t.x')], template })
    expect(() => plan('orders.>', 'orders.{topic}')).toThrow(refused('would go to subject orders.t.x'))
    expect(() => plan('orders.*.x', 'orders.{topic}')).toThrow(refused('comes in by'))
    expect(plan('orders.*', 'orders.{topic}').about).toHaveLength(2)
    expect(plan('orders.>', 'out.{topic}').about[1]).toBe('topic t.x to subject out.t.x')
  })

  it('knows which subjects are of a pattern', () => {
    for (const [pattern, subject, expected] of [
      ['a', 'a', true],
      ['a', 'a.b', false],
      ['a.*', 'a.b', true],
      ['a.*', 'a', false],
      ['a.*', 'a.b.c', false],
      ['a.>', 'a.b.c', true],
      ['a.>', 'a', false],
      ['>', 'a', true],
    ] as const) {
      expect(matches(pattern, subject), `${pattern} ${subject}`).toBe(expected)
    }
  })
})
