/** One part of the nightly run, and what came of it. */
export interface Task {
  readonly name: string
  /** Share of the whole time that it may take. */
  readonly share: number
  /** What it does cannot be made smaller than this, in seconds: a short night is as long as that makes it. */
  readonly leastSeconds: number
  run(seconds: number): Promise<readonly Row[]>
}

/** One line of the table. A class of faults is one line. */
export interface Row {
  readonly what: string
  /** Faults of one kind: what could not run here is excused where another of its kind did. Null: it may be missing. */
  readonly family: string | null
  /** How much was done, in words. */
  readonly done: string
  /** Nothing was reached: then the run fails. */
  readonly isReached: boolean
  /** Why nothing ran, or null. */
  readonly skipped: string | null
  readonly violations: readonly string[]
  /** What else was reached, and how often. */
  readonly reached: Readonly<Record<string, number>>
}

export function row(what: string, of: Partial<Row>): Row {
  return { what, family: what, done: '', isReached: true, skipped: null, violations: [], reached: {}, ...of }
}

export function skipped(what: string, why: string, family: string | null = what): Row {
  return row(what, { family, isReached: false, skipped: why })
}
