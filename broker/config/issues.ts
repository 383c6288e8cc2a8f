/** What the form check found, in the words of this product. */
import type { z } from 'zod'
import { didYouMean } from '../../proto/closest.ts'
import type { YamlDocument } from './document.ts'
import type { Mistake } from './mistakes.ts'
import { keysAt } from './schema.ts'

/** Adds one mistake for each thing that is wrong. */
export function reportIssue(issue: z.core.$ZodIssue, document: YamlDocument, mistakes: Mistake[]): void {
  const path = issue.path
  const add = (at: readonly PropertyKey[], text: string, isKey = false) => {
    const place = isKey ? document.placeOfKey(at) : document.placeOf(at)
    mistakes.push({ ...place, key: at.map(String).join('.'), text })
  }
  switch (issue.code) {
    case 'unrecognized_keys':
      for (const key of issue.keys) {
        const known = keysAt(path)
        const hint = didYouMean(key, known) || (known.length > 0 ? `; there are ${known.join(', ')}` : '')
        add([...path, key], `unknown key${hint}`, true)
      }
      return
    case 'invalid_value': {
      if (issue.input === undefined) add(path, 'is missing')
      const words = issue.values.map(String)
      const near = didYouMean(String(issue.input), words) || `; it is one of ${words.join(', ')}`
      if (issue.input !== undefined) add(path, `${shown(issue.input)} is not known here${near}`)
      return
    }
    case 'invalid_type':
      add(
        path,
        issue.input === undefined
          ? 'is missing'
          : `${shown(issue.input)} is not ${typeNames[issue.expected] ?? issue.expected}`,
      )
      return
    case 'invalid_key':
      for (const inner of issue.issues) add(path, inner.message, true)
      return
    case 'too_small':
    case 'too_big':
      add(path, limitText(issue))
      return
    default:
      add(path, issue.message)
  }
}

const typeNames: Record<string, string> = {
  int: 'a whole number',
  number: 'a number',
  string: 'text',
  boolean: 'true or false',
  array: 'a list',
  object: 'a group of keys',
  record: 'a group of keys',
}

function limitText(issue: z.core.$ZodIssueTooSmall | z.core.$ZodIssueTooBig): string {
  if (issue.origin === 'array') return 'the list is empty'
  if (issue.origin === 'string') return 'is empty'
  const limit = issue.code === 'too_small' ? `at least ${issue.minimum}` : `at most ${issue.maximum}`
  return `${shown(issue.input)} is out of range: ${limit}`
}

/** A value as a message may show it. */
function shown(value: unknown): string {
  if (value === null) return 'nothing'
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'object') return 'a group of keys'
  const text = JSON.stringify(value)
  return text.length > 60 ? `${text.slice(0, 57)}...` : text
}
