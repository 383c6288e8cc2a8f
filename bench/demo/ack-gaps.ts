/** How long a publisher that had something under way waited for its next acknowledgement, at its worst. */

const notedMs = 2

export class AckGaps {
  readonly #gaps: { readonly fromMs: number; readonly toMs: number }[] = []
  #pending = 0
  #sinceMs = 0

  sent(nowMs: number): void {
    if (this.#pending++ === 0) this.#sinceMs = nowMs
  }

  acked(nowMs: number): void {
    this.#pending--
    if (nowMs - this.#sinceMs >= notedMs) this.#gaps.push({ fromMs: this.#sinceMs, toMs: nowMs })
    this.#sinceMs = nowMs
  }

  /** The longest gap that touches the window, in full length; below what is noted, 0. */
  longestMs(fromMs: number, toMs: number): number {
    let longest = 0
    for (const gap of this.#gaps) {
      if (gap.toMs >= fromMs && gap.fromMs <= toMs) longest = Math.max(longest, gap.toMs - gap.fromMs)
    }
    return longest
  }
}
