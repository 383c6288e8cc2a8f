import type { Address } from '../proto/ids.ts'

/** Bytes that may wait for one receiver when it is sent bodies that it asked for. */
const waitingBytesMax = 1024 * 1024
/** The same for a question that has waited for long: feeds may keep a slow receiver's queue above the other bound. */
const patientBytesMax = 16 * 1024 * 1024

/** What waits for each receiver: at the transport, and from this turn, of which nothing has left yet. */
export class Outlets {
  readonly #waitingBytes: (to: Address) => number
  readonly #sentBytes = new Map<Address, number>()

  /** @param waitingBytes what has been handed to the transport, or is being read from the disk for it */
  constructor(waitingBytes: (to: Address) => number = () => 0) {
    this.#waitingBytes = waitingBytes
  }

  /** @param isPatient what is to be sent has waited for long */
  hasRoom(to: Address, isPatient: boolean): boolean {
    const bytes = this.#waitingBytes(to) + (this.#sentBytes.get(to) ?? 0)
    return bytes < (isPatient ? patientBytesMax : waitingBytesMax)
  }

  /** So many body bytes leave with this turn. */
  sent(to: Address, bytes: number): void {
    this.#sentBytes.set(to, (this.#sentBytes.get(to) ?? 0) + bytes)
  }

  /** What was sent is with the transport. */
  turnEnded(): void {
    if (this.#sentBytes.size > 0) this.#sentBytes.clear()
  }
}
