/**
 * What the log needs of one directory. The log's rules about crashes are built on these calls alone, so a simulated disk
 * can be put under the very same classes. Every call rejects with the system's error, its `code` kept.
 */
export interface Files {
  /** Names of the files in the directory, in no order. */
  list(): Promise<string[]>
  /**
   * Makes (or replaces) a file of `bytes` zeros, content and size flushed. Its name is on disk only after
   * `flushDirectory`.
   */
  create(name: string, bytes: number): Promise<OpenFile>
  open(name: string): Promise<OpenFile>
  /** Replaces `to` when it exists; on disk only after `flushDirectory`. */
  rename(from: string, to: string): Promise<void>
  /** On disk only after `flushDirectory`. */
  remove(name: string): Promise<void>
  /** Flushes every name that was created, renamed or removed before the call. */
  flushDirectory(): Promise<void>
  /** Bytes that can still be written by this process. */
  freeBytes(): Promise<number>
}

export interface OpenFile {
  /** Size when it was opened or created. */
  readonly bytes: number
  /** Fills `buffer` from offset `at`; resolves to fewer bytes only at the end of the file. */
  read(buffer: Uint8Array, at: number): Promise<number>
  /**
   * Writes all parts one behind the other from offset `at`; they are not copied. Grows the file when needed. Done at once
   * where it returns nothing; throws then what it would reject with.
   */
  writev(parts: readonly Uint8Array[], at: number): Promise<void> | undefined
  /** Flushes what was written before the call, the size included. After a rejection nothing is known any more. */
  datasync(): Promise<void>
  close(): Promise<void>
}
