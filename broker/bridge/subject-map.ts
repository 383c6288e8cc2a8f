/** Subjects of NATS to topics: a pattern with wildcards, and a template that says what becomes of what they stood for. */
import { EpochcastError } from '../../proto/errors.ts'
import { type TopicName, topicName } from '../../proto/ids.ts'

const token = /^[^\s.*>]+$/
const place = /\{(\d+)\}/g
const topicPlace = '{topic}'

/** Tokens of a subject or of a pattern. @throws EpochcastError `EC_BAD_ARGUMENT` */
export function patternTokens(pattern: string): string[] {
  const tokens = pattern.split('.')
  for (const [at, one] of tokens.entries()) {
    const isWildcard = one === '*' || (one === '>' && at === tokens.length - 1)
    if (!isWildcard && !token.test(one)) {
      throw bad(
        `${JSON.stringify(pattern)} is no subject of NATS`,
        'words joined by dots; * is any word, > at the end any rest',
      )
    }
  }
  return tokens
}

/** Which topic a message of a subject goes to. */
export class SubjectMap {
  readonly pattern: string
  readonly template: string
  readonly #tokens: readonly string[]

  /**
   * @param pattern a subject, with `*` and `>` as NATS has them
   * @param template a topic; `{1}` is what the first wildcard stood for, `{2}` the second …
   * @throws EpochcastError `EC_BAD_ARGUMENT` when they do not fit together
   */
  constructor(pattern: string, template: string) {
    this.pattern = pattern
    this.template = template
    this.#tokens = patternTokens(pattern)
    const wildcards = this.#tokens.filter(isWildcard).length
    for (const [text, digits] of template.matchAll(place)) {
      const number = Number(digits)
      if (number >= 1 && number <= wildcards) continue
      const has = wildcards === 0 ? 'has no wildcard' : `has ${wildcards}, from {1}`
      throw bad(`${text} in topic ${JSON.stringify(template)} stands for no wildcard`, `${pattern} ${has}`)
    }
    // Whatever the wildcards stand for, the rest must be right.
    topicName(template.replace(place, 'x'))
  }

  /** @throws EpochcastError `EC_BAD_ARGUMENT` when what the wildcards stood for makes no topic */
  topicOf(subject: string): TopicName {
    const words = subject.split('.')
    const found = this.#tokens.flatMap((one, at) => {
      if (one === '>') return [words.slice(at).join('.')]
      return one === '*' ? [words[at] ?? ''] : []
    })
    return topicName(this.template.replace(place, (_, digits) => found[Number(digits) - 1] ?? ''))
  }
}

/** Which subject the messages of a topic go to: `{topic}` is its name. */
export class TopicMap {
  readonly template: string

  /** @throws EpochcastError `EC_BAD_ARGUMENT` */
  constructor(template: string, topics: readonly string[]) {
    this.template = template
    const tokens = patternTokens(template.replaceAll(topicPlace, 'x'))
    if (tokens.some(isWildcard)) throw bad(`${JSON.stringify(template)} has a wildcard`, 'messages go to one subject')
    if (topics.length > 1 && !template.includes(topicPlace)) {
      throw bad(`several topics would go to subject ${template}`, `put ${topicPlace} where the topic's name belongs`)
    }
  }

  subjectOf(topic: TopicName): string {
    return this.template.replaceAll(topicPlace, topic)
  }
}

/** Whether a subject is one of a pattern. */
export function matches(pattern: string, subject: string): boolean {
  const [wanted, words] = [pattern.split('.'), subject.split('.')]
  for (const [at, one] of wanted.entries()) {
    if (one === '>') return words.length > at
    if (at >= words.length || (one !== '*' && one !== words[at])) return false
  }
  return words.length === wanted.length
}

function isWildcard(one: string): boolean {
  return one === '*' || one === '>'
}

function bad(message: string, hint?: string): EpochcastError {
  return new EpochcastError('EC_BAD_ARGUMENT', message, hint === undefined ? {} : { hint })
}
