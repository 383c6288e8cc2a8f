import type { Address } from '../ids.ts'

/**
 * Carries frames between addresses. It may lose, repeat and reorder them; it never changes one.
 * Every adapter passes the suite in `test/proto/transport/conformance.ts`.
 */
export interface Transport {
  /** Where others reach this endpoint; goes out with the first frame of every connection. */
  readonly address: Address
  /**
   * Sends one frame, given as consecutive parts (not copied: leave them unchanged for good).
   * Never throws for an unreachable or slow receiver: the frame is lost then, and counted.
   * @throws EpochcastError `EC_FRAME_TOO_LARGE` when the parts exceed `frameBytesMax`
   */
  send(to: Address, parts: readonly Uint8Array[]): void
  /** The same frame to several, where that is cheaper than one by one. Reaches whom `send` would reach, no sooner or later. */
  sendToAll?(to: readonly Address[], parts: readonly Uint8Array[]): void
  /** Frames that were given to `send` and could not be handed on. */
  readonly framesLost: number
  /** Bytes that wait to be handed on to `to`, as far as they are known here. */
  waitingBytes?(to: Address): number
  /** It refuses new connections because it has as many as it may have. */
  readonly isCrowded?: boolean
  /**
   * Says that none of the frames that were handed over before is looked at any more: their memory may be used again. Whoever
   * keeps frames never calls it.
   */
  reuse?(): void
  /** Why an address was not reached lately; null where it was, or where nothing is known. For people: it decides nothing. */
  trouble?(address: Address): Error | null
  /** Ends every connection; afterwards nothing is received. */
  close(): Promise<void>
}

/** What a transport tells its owner. Both calls come from the event loop, never from inside `send`. */
export interface TransportHandler {
  /**
   * One whole frame. `from` is an address that `send` reaches as long as the connection lives.
   * The bytes belong to the receiver, until it calls `reuse`; a view of them keeps the whole frame alive.
   */
  frame(from: Address, bytes: Uint8Array): void
  /** A hint, nothing more: a connection with `address` came up or broke. */
  peer(address: Address, up: boolean): void
}

/** Limits of one endpoint. */
export interface TransportLimits {
  /** Largest frame in bytes, both directions; a larger one closes the connection before memory is taken. */
  readonly frameBytesMax: number
  /** Bytes that may wait for one slow receiver; frames beyond are lost. */
  readonly queueBytesMax: number
  /** Bytes that may wait for all receivers together; beyond, a receiver that already has its share is sent nothing. */
  readonly queuesBytesMax: number
  /** Connections that others may have with this endpoint; a few more are kept for servers. */
  readonly connectionsMax: number
  /** Milliseconds that a new connection may take until its first frame is complete. */
  readonly handshakeTimeoutMs: number
}

/** Largest payload of one message in bytes: with its batch and its envelope it fits into a frame. */
export const messageBytesMax: number = 1024 * 1024

export const transportLimits: TransportLimits = {
  frameBytesMax: 2 * 1024 * 1024,
  queueBytesMax: 64 * 1024 * 1024,
  queuesBytesMax: 256 * 1024 * 1024,
  connectionsMax: Number.POSITIVE_INFINITY,
  handshakeTimeoutMs: 5_000,
}
