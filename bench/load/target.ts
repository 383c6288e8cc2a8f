/** What a load is put on: the same work for this product and for others. */
/** How publishes of one burst end. */
export interface Settling {
  ok(count: number): void
  /** @param isUnknown nobody knows whether they were stored */
  failed(count: number, error: unknown, isUnknown: boolean): void
}

export interface PublisherPort {
  /** Sends one message to the topic of that index. The payload is copied before this returns, or `copies` is false. */
  publish(topic: number, payload: Buffer, settling: Settling): void
  /** Sends many with one promise, where there is such a call. */
  publishMany?(topic: number, payloads: Buffer[], settling: Settling): void
  /** Called when a turn has published all that it will; for targets that batch by hand. */
  turnEnds?(): void
}

/** A client of the thing under load. */
export interface Target {
  /** Whether a payload given to `publish` may be written over at once. */
  readonly copies: boolean
  publisher(): Promise<PublisherPort>
  /** Reads every topic from its start (or from now); resolves when it is subscribed. */
  subscribe(take: (payload: Uint8Array) => void, failed: (error: unknown) => void): Promise<void>
  close(): Promise<void>
}

export type TargetSpec =
  | {
      readonly kind: 'epochcast'
      readonly url: string
      readonly topics: readonly string[]
      readonly order?: string
      readonly early?: boolean
    }
  | {
      readonly kind: 'nats'
      readonly servers: readonly string[]
      readonly stream: string
      readonly subject: string
      readonly pipelined: boolean
      readonly timeoutMs: number
    }
  | {
      readonly kind: 'redis'
      readonly ports: readonly number[]
      readonly key: string
      /** Replicas that must have it before it counts as acknowledged. */
      readonly wait: number
      readonly waitMs: number
    }
