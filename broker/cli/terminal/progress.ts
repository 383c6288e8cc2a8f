/** One line that is written over and over, on a terminal only. */
const intervalMs = 80

export class Progress {
  readonly #stream: NodeJS.WriteStream
  readonly #isOn: boolean
  #shownAt = Number.NEGATIVE_INFINITY
  #isShown = false

  constructor(stream: NodeJS.WriteStream, isOn: boolean) {
    this.#stream = stream
    this.#isOn = isOn && stream.isTTY === true
  }

  /** @param text made only when it is shown: not more often than one can read */
  show(text: () => string, options: { readonly always?: boolean } = {}): void {
    const now = performance.now()
    if (!this.#isOn || (options.always !== true && now - this.#shownAt < intervalMs)) return
    this.#shownAt = now
    this.#isShown = true
    this.#stream.write(`\r\u001b[2K${text().slice(0, (this.#stream.columns ?? 80) - 1)}`)
  }

  /** Takes the line away. */
  clear(): void {
    if (this.#isShown) this.#stream.write('\r\u001b[2K')
    this.#isShown = false
  }
}
