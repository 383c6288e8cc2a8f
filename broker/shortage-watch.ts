import { type Shortage, shortages } from '../proto/shortage.ts'

/** Looks without a shortage after which it counts as over: at the limit it comes and goes with every file. */
const calmLooks = 10

/** Follows what a server is short of, so that each shortage is told once when it begins and once when it is over. */
export class ShortageWatch {
  readonly #tell: (shortage: Shortage, begins: boolean) => void
  /** Looks since each of those that were told was seen last. */
  readonly #told = new Map<Shortage, number>()

  constructor(tell: (shortage: Shortage, begins: boolean) => void) {
    this.#tell = tell
  }

  /** @param now what the server is short of at this moment */
  look(now: readonly Shortage[]): void {
    for (const shortage of shortages) {
      const calm = this.#told.get(shortage)
      if (now.includes(shortage)) {
        this.#told.set(shortage, 0)
        if (calm === undefined) this.#tell(shortage, true)
      } else if (calm !== undefined) this.#calm(shortage, calm + 1)
    }
  }

  #calm(shortage: Shortage, looks: number): void {
    if (looks < calmLooks) {
      this.#told.set(shortage, looks)
      return
    }
    this.#told.delete(shortage)
    this.#tell(shortage, false)
  }
}
