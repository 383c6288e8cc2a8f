import type { EpochcastError } from '../proto/errors.ts'
import type { Epoch, TopicName } from '../proto/ids.ts'
import type { Loop } from '../proto/machine/loop.ts'
import type { Admin } from './admin.ts'
import type { ClientCall, ClientMachine } from './machine.ts'
import type { Publisher } from './operations/add.ts'
import type { Requester } from './replies.ts'
import type { OpenWaits, WaitOptions } from './waiting.ts'

/** Parts of a client that the operations of a topic use. */
export interface TopicContext {
  readonly loop: Loop<ClientCall>
  readonly machine: ClientMachine
  readonly messageBytesMax: number
  readonly waits: OpenWaits
  /** This client's publisher to the topic, made at its first use. */
  publisherOf(topic: TopicName): Publisher
  closed(): EpochcastError | null
  /** Ends the open epoch with the same members, and waits for the decision. */
  roll(topic: TopicName, epoch: Epoch, options: WaitOptions): Promise<void>
  /** Runs when the client ends. @returns a function that takes it back */
  onClose(run: () => void): () => void
  /** Runs before the client closes, within seconds. @returns a function that takes it back */
  onLeave(run: () => Promise<unknown>): () => void
  /** Requesters by the topic of their requests; each reads the replies for as long as this client lives. */
  readonly requesters: Map<TopicName, Requester<Uint8Array>>
  readonly admin: Admin
  newId(): string
}
