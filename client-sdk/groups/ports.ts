/** Parts of its client that a group uses. */
import type { Configuration } from '../../proto/configuration.ts'
import type { EpochcastError } from '../../proto/errors.ts'
import type { Loop } from '../../proto/machine/loop.ts'
import type { Admin } from '../admin.ts'
import type { Cursor } from '../cursor.ts'
import type { ClientCall, ClientMachine } from '../machine.ts'
import type { AllProperties } from '../properties.ts'
import type { EventStream, Message } from '../stream.ts'

/** A topic, as the group uses it: its log, or where it puts messages aside. */
export interface PlainTopic {
  /** Publishes bytes with a header as `properties.ts` writes it. */
  send(payload: Uint8Array, header: Uint8Array, onEpochEnd?: 'settle'): Promise<{ readonly status: string }>
  /** Makes it where it is not there, where the servers allow that. */
  configuration(options: { readonly create: true; readonly signal: AbortSignal }): Promise<Configuration>
  get(options: { readonly level: 'durable'; readonly since: Cursor }): Promise<{
    readonly messages: readonly Message<Uint8Array>[]
  }>
  subscribe(options: { readonly from: Cursor; readonly events: true }): EventStream<Uint8Array>
}

export interface GroupPorts {
  readonly loop: Loop<ClientCall>
  readonly machine: ClientMachine
  readonly admin: Admin
  topic(name: string): PlainTopic
  /** The newest configuration of the topic itself; it is made where topics are made by being used. */
  configuration(signal: AbortSignal): Promise<Configuration>
  closed(): EpochcastError | null
  /** @returns a function that takes it back */
  onClose(run: () => void): () => void
  /** Runs before the client closes. @returns a function that takes it back */
  onLeave(run: () => Promise<unknown>): () => void
  /** A message was delivered too often and is put aside. */
  putAside?(message: { readonly properties: AllProperties; readonly deliveries: number }): Promise<unknown>
  newId(): string
}
