/** What a record is for; a nearly full disk still takes `protocol` records. */
export const recordKinds = ['batch', 'staged', 'protocol'] as const
export type RecordKind = (typeof recordKinds)[number]

/** Bytes offset of a record in its store; grows, and never repeats within one storage. */
export type Position = number

/**
 * Keeps the records of one server in one sequence, so "on disk before the reply" and "stores before the wedge" are one
 * rule. Every adapter passes the suite in `test/broker/log/conformance.ts`.
 */
export interface Store {
  /**
   * Adds one record behind all others. Synchronous and without IO: it is safe when a `flush` that began later has
   * resolved. `body` is copied.
   * @throws EpochcastError `EC_DISK_FULL` (retryable) for a batch or a staged body that was not admitted, when only the
   *   space kept for protocol records is left
   */
  append(kind: RecordKind, body: Uint8Array): Position
  /**
   * Makes safe what was appended before the call: on disk, and where the store was told so (`Sync`), batches alone only
   * written. A rejection is final: the server must stop, no second try.
   */
  flush(): Promise<void>
  /** True while no batch and no staged body is admitted: what is left is kept for protocol records. */
  readonly full: boolean
  /**
   * Admits one batch or staged body of `bytes`, which is appended in this turn; it fits behind everything that was admitted
   * before. A record that was not admitted is not to be appended.
   * @returns false while the store is full
   */
  admits(bytes: number): boolean
  /** Everything below is on disk; never goes back within one storage, whatever crashes. */
  readonly flushedTo: Position
  /**
   * Everything below is safe as `flush` makes it: `flushedTo` or more. Never goes back within one storage: one that may
   * have lost what was only written is another storage.
   */
  readonly writtenTo: Position
  /** True when something appended is not safe yet. */
  readonly dirty: boolean
  /** The body of a record: at once from memory, else from disk. Rejects with `EC_LOG_DAMAGED` when it is not intact. */
  read(position: Position): Uint8Array | Promise<Uint8Array>
  /** Hands over every record that survived, oldest first; once, before the first `append`. */
  recover(visit: (kind: RecordKind, body: Uint8Array, position: Position) => void): Promise<void>
  /** Called by the loop while nothing happens, so that a mark can follow the last commit. */
  idle(): void
  /**
   * Calls `listener` as soon as the store has failed, also where nobody waits for what failed: a flush by the clock, or a file that
   * is made ahead. The server must stop. One listener; of a store that has failed already it is called now.
   */
  onFailure(listener: (error: unknown) => void): void
  close(): Promise<void>
}
