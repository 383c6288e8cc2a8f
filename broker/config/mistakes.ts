import { EpochcastError } from '../../proto/errors.ts'

/** One thing that is wrong in a configuration file. */
export interface Mistake {
  /** From 1 on. */
  readonly line: number
  readonly column: number
  /** Path of the key, joined by dots; empty for the file as a whole. */
  readonly key: string
  readonly text: string
}

/** Everything that is wrong in one configuration file, at once. */
export class ConfigError extends EpochcastError {
  readonly file: string
  readonly mistakes: readonly Mistake[]

  constructor(file: string, mistakes: readonly Mistake[]) {
    const sorted = [...mistakes].sort((one, other) => one.line - other.line || one.column - other.column)
    const lines = sorted.map((mistake) => `${file}:${mistake.line}:${mistake.column}: ${describe(mistake)}`)
    const many = `${file} has ${lines.length} mistakes\n${lines.map((line) => `  ${line}`).join('\n')}`
    super('EC_BAD_CONFIG', lines.length === 1 ? (lines[0] ?? '') : many)
    this.file = file
    this.mistakes = sorted
  }
}

function describe({ key, text }: Mistake): string {
  return key === '' ? text : `${key}: ${text}`
}
