import { onAbort } from '../proto/aborts.ts'

/** What an open stream, view or group has registered elsewhere: taken back in one place, once, whatever ends it. */
export class Registrations {
  #undo: (() => void)[] | null = []

  get isOver(): boolean {
    return this.#undo === null
  }

  /** @param undo run at the end; at once where that has come */
  add(undo: () => void): void {
    if (this.#undo === null) undo()
    else this.#undo.push(undo)
  }

  /** Until the end, `run` is what an abort does; at once where the signal is aborted already. */
  onAbort(signal: AbortSignal | undefined, run: () => void): void {
    if (signal === undefined || this.isOver) return
    if (signal.aborted) {
      run()
      return
    }
    this.add(onAbort(signal, run))
  }

  takeBack(): void {
    const undo = this.#undo ?? []
    this.#undo = null
    for (const one of undo) one()
  }
}
