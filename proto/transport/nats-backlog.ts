import type { NatsConnection } from './nats-link.ts'

/** NATS is asked how far it has read after each such part of the bound. */
const parts = 16

/** Bytes that NATS has not said to have read. The NATS client keeps all that it is given; this is what bounds it. */
export class Backlog {
  readonly #connection: NatsConnection
  readonly #bytesMax: number
  #bytes = 0
  #isAsking = false

  constructor(connection: NatsConnection, bytesMax: number) {
    this.#connection = connection
    this.#bytesMax = bytesMax
  }

  hasRoom(bytes: number): boolean {
    return this.#bytes + bytes <= this.#bytesMax
  }

  add(bytes: number): void {
    this.#bytes += bytes
    this.#askWhenLong()
  }

  /** The connection broke, and with it went what waited. */
  clear(): void {
    this.#bytes = 0
  }

  #askWhenLong(): void {
    if (this.#isAsking || this.#bytes <= this.#bytesMax / parts || this.#connection.isClosed()) return
    this.#isAsking = true
    // Behind everything of this turn.
    queueMicrotask(() => {
      const asked = this.#bytes
      const done = (): void => {
        this.#isAsking = false
        this.#bytes = Math.max(0, this.#bytes - asked)
        this.#askWhenLong()
      }
      this.#connection.flush().then(done, done)
    })
  }
}
