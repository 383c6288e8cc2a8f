/** How it goes, on stderr: one line that is written over on a terminal, a plain line now and then elsewhere. */
const terminalEveryMs = 100
const plainEveryMs = 1_000

export class Status {
  readonly #line: () => string
  readonly #isTerminal = process.stderr.isTTY === true
  readonly #timer: NodeJS.Timeout
  readonly #began = performance.now()
  #shown = false

  constructor(line: () => string) {
    this.#line = line
    this.#timer = setInterval(() => this.#show(), this.#isTerminal ? terminalEveryMs : plainEveryMs)
  }

  /** A line that stays. */
  say(text: string): void {
    this.#clear()
    process.stderr.write(`${this.#seconds()}  ${text}\n`)
  }

  end(): void {
    clearInterval(this.#timer)
    this.#clear()
  }

  #show(): void {
    const text = `${this.#seconds()}  ${this.#line()}`
    if (!this.#isTerminal) {
      process.stderr.write(`${text}\n`)
      return
    }
    this.#clear()
    process.stderr.write(text.slice(0, (process.stderr.columns || 80) - 1))
    this.#shown = true
  }

  #clear(): void {
    if (this.#shown) process.stderr.write('\r\u001b[K')
    this.#shown = false
  }

  #seconds(): string {
    return `${((performance.now() - this.#began) / 1000).toFixed(1).padStart(5)} s`
  }
}
