// Goal: the rules can fail. Each finds what is wrong, nothing finds fault with what is right, and hardly any change of a
// history goes unnoticed.
// Method: histories by hand, violating ones with the rule that must find them and near misses that must pass; then histories
// of simulated runs, each mutated in one place.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { checkHistory } from '../../sim/check/check.ts'
import { formatHistory, type HistoryEvent, parseHistory } from '../../sim/check/history.ts'
import { runSeed } from '../../sim/swarm/run.ts'
import { historyOf } from './history-text.ts'
import { mutationsOf } from './mutations.ts'

function stories(name: string): { title: string; text: string }[] {
  const file = readFileSync(join(import.meta.dirname, 'histories', `${name}.txt`), 'utf8')
  return file
    .split(/^== /m)
    .slice(1)
    .map((part) => {
      const end = part.indexOf('\n')
      return { title: part.slice(0, end).trim(), text: part.slice(end + 1) }
    })
}

describe('a violating history', () => {
  for (const { title, text } of stories('violating')) {
    const rule = title.slice(0, title.indexOf(' '))
    it(title, () => {
      const found = checkHistory(historyOf(text)).map((violation) => violation.rule)
      expect(found).toContain(rule)
    })
  }

  it('there are enough of them, of every rule', () => {
    const rules = stories('violating').map(({ title }) => title.slice(0, title.indexOf(' ')))
    expect(rules.length).toBeGreaterThanOrEqual(60)
    const all = [...range('I', 1, 12), 'T6', 'RYA', 'MONO', 'F1', 'F4', 'F5', 'F6', ...range('L', 1, 5)]
    expect([...new Set(rules)].sort()).toEqual(all.sort())
  })
})

describe('a valid history', () => {
  for (const { title, text } of stories('valid')) {
    it(title, () => {
      expect(checkHistory(historyOf(text)).map((violation) => `${violation.rule} ${violation.text}`)).toEqual([])
    })
  }

  it('there are enough of them', () => {
    expect(stories('valid').length).toBeGreaterThanOrEqual(60)
  })
})

describe('a recorded history', () => {
  it('is the same after writing and reading', async () => {
    const history = await recorded(3)
    expect(parseHistory(formatHistory(history))).toEqual(history)
  })

  it('is refused by name when it is none', () => {
    expect(() => parseHistory('{"kind":"ok","i":0,"at":1}\n')).toThrow('line 1: a history begins with its header')
    expect(() => parseHistory('nothing\n')).toThrow('line 1: no JSON object')
    expect(() => parseHistory('{"kind":"header","i":0,"at":1,"format":9}\n')).toThrow('format 9')
  })

  it('is rejected after nearly every mutation', async () => {
    let total = 0
    const survivors: string[] = []
    for (const seed of [1, 2, 4, 7]) {
      const history = await recorded(seed)
      expect(checkHistory(history)).toEqual([])
      for (const { name, mutated } of mutationsOf(history, seed)) {
        total++
        if (checkHistory(mutated).length === 0) survivors.push(`seed ${seed}: ${name}`)
      }
    }
    expect(total).toBeGreaterThan(150)
    expect({ share: survivors.length / total <= 0.05, survivors }).toMatchObject({ share: true })
  })
})

async function recorded(seed: number): Promise<readonly HistoryEvent[]> {
  const { history, violations } = await runSeed(seed, { keepHistory: true })
  expect(violations).toEqual([])
  return history ?? []
}

function range(letter: string, from: number, to: number): string[] {
  return Array.from({ length: to - from + 1 }, (_, at) => `${letter}${from + at}`)
}
