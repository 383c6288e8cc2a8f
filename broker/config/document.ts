/** A YAML file with the place of every key in it. */
import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  parseDocument,
  visit,
} from 'yaml'
import type { Mistake } from './mistakes.ts'

export interface Place {
  readonly line: number
  readonly column: number
}

type Path = readonly PropertyKey[]

const aliasesMax = 100

/** Mistakes that the parser tells in terms of its own functions. */
const words: Readonly<Record<string, string>> = {
  MULTIPLE_DOCS: 'a second document begins here: a configuration is one',
}

export class YamlDocument {
  /** What is no YAML at all; then there is no value. */
  readonly mistakes: readonly Mistake[]
  readonly value: unknown
  readonly #root: Node | null
  readonly #lines = new LineCounter()
  readonly #resolve: (node: Node | null) => Node | null

  constructor(text: string) {
    const document = parseDocument(text, { lineCounter: this.#lines, prettyErrors: false, logLevel: 'error' })
    this.#root = document.contents
    this.#resolve = (node) => (isAlias(node) ? (node.resolve(document) ?? null) : node)
    const mistakes = document.errors.map(({ pos, code, message }) => {
      // Some errors begin where the line before ended.
      const offset = pos[0] + (/^\s*/.exec(text.slice(pos[0]))?.[0].length ?? 0)
      const isTwice = code === 'DUPLICATE_KEY'
      const key = isTwice ? (/^[^:\s]+/.exec(text.slice(offset))?.[0] ?? '') : ''
      const what = isTwice ? 'stands here twice' : (words[code] ?? message.split('\n', 1)[0] ?? '')
      return { ...this.#placeAt(Math.min(offset, text.length)), key, text: what }
    })
    if (mistakes.length === 0) mistakes.push(...this.#aliasMistakes(document))
    this.mistakes = mistakes
    this.value = mistakes.length > 0 ? undefined : document.toJS({ maxAliasCount: aliasesMax })
  }

  /** Aliases that stand for nothing, for what they stand in, or for so much that the file would not fit into memory. */
  #aliasMistakes(document: Document): Mistake[] {
    const mistakes: Mistake[] = []
    visit(document, {
      Alias: (_key, alias) => {
        if (alias.resolve(document) !== undefined) return
        mistakes.push({ ...this.#placeOfNode(alias), key: `*${alias.source}`, text: 'stands for nothing before it' })
      },
    })
    if (mistakes.length > 0) return mistakes
    try {
      document.toJS({ maxAliasCount: aliasesMax })
      return []
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error)
      return [{ line: 1, column: 1, key: '', text: `its aliases cannot be resolved: ${text}` }]
    }
  }

  /** Where the value at `path` stands; where it is missing, the key of what should hold it. */
  placeOf(path: Path): Place {
    const { node, key } = this.#find(path)
    return this.#placeOfNode(node ?? key)
  }

  /** Where the last key of `path` stands. */
  placeOfKey(path: Path): Place {
    const { node, key } = this.#find(path)
    return this.#placeOfNode(key ?? node)
  }

  #find(path: Path): { node: Node | null; key: Node | null } {
    let node = this.#root
    let key: Node | null = null
    for (const step of path) {
      const held = this.#resolve(node)
      if (isMap(held)) {
        const pair = held.items.find((item) => keyText(item) === String(step))
        if (pair === undefined) return { node: null, key: key ?? held }
        key = pair.key as Node
        node = (pair.value as Node | null) ?? null
      } else if (isSeq(held)) {
        const item = (held.items[Number(step)] as Node | undefined) ?? null
        if (item === null) return { node: null, key: key ?? held }
        node = item
        key = item
      } else return { node: null, key: key ?? node }
    }
    return { node, key }
  }

  #placeOfNode(node: Node | null): Place {
    return this.#placeAt(node?.range?.[0] ?? 0)
  }

  #placeAt(offset: number): Place {
    const { line, col } = this.#lines.linePos(offset)
    return { line: Math.max(1, line), column: Math.max(1, col) }
  }
}

function keyText(pair: Pair): string | undefined {
  return isScalar(pair.key) ? String(pair.key.value) : undefined
}
