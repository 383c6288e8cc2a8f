/** One planted bug: a change of the source that exists only in a compiled copy of it. */
export interface Edit {
  /** From the root of the repository. */
  readonly file: string
  /** Source text that occurs exactly once in the file. */
  readonly find: string
  readonly replace: string
}

export interface Mutant {
  /** The number of the catalogue of planted bugs, or a letter and a number of this project's own. */
  readonly id: string
  readonly title: string
  readonly edits: readonly Edit[]
  /** The checks that are expected to see it, named in advance: a rule (I4), a stop of the server by itself (stop I7), a story. */
  readonly caughtBy: readonly string[]
  /** Stories that are tried first: names of files in `test/scenarios` or `test/mutants/stories`, or of a probe. */
  readonly stories?: readonly string[]
  /** Tests that are run when no story finds it: what a bug that really happened is kept out by. */
  readonly tests?: readonly string[]
}

/** Source text with the edits made. */
export function applyEdits(file: string, text: string, edits: readonly Edit[]): string {
  let changed = text
  for (const { find, replace } of edits.filter((edit) => edit.file === file)) {
    const at = changed.indexOf(find)
    if (at < 0) throw new Error(`${file} does not hold: ${find}`)
    if (changed.indexOf(find, at + 1) >= 0) throw new Error(`${file} holds more than once: ${find}`)
    changed = changed.slice(0, at) + replace + changed.slice(at + find.length)
  }
  return changed
}
