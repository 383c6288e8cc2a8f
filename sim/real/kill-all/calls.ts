/** Calls without an answer yet, so that one which never gets one is noticed. */
export interface Call {
  readonly what: string
  readonly began: number
}

export class Calls {
  readonly open = new Set<Call>()

  async track<T>(what: string, made: Promise<T>): Promise<T> {
    const call = { what, began: performance.now() }
    this.open.add(call)
    try {
      return await made
    } finally {
      this.open.delete(call)
    }
  }

  /** Calls that have waited for `limitMs` since they were made and since `since`. */
  overdue(since: number, limitMs: number): Call[] {
    const before = performance.now() - limitMs
    return since > before ? [] : [...this.open].filter(({ began }) => began <= before)
  }
}
