/** What reads a topic in a client: the machine hands it whatever comes for its token, or for its topic. */
import type { Address, ServerName, TopicName } from '../../proto/ids.ts'
import type { Effect } from '../../proto/machine/contract.ts'
import type { Batch, MessageOf } from '../../proto/wire/messages.ts'
import type { EpochFollower } from '../follower.ts'

/** What has subscriptions at servers. */
export interface Listener {
  /** A connection came up or broke; or the subscription at a server may be lost. */
  peer(server: Address, up: boolean, out: Effect[]): void
  /** Servers that it has subscribed to now. */
  listensTo(): readonly Address[]
  /** A server that it has subscribed to is silent, or is heard again. */
  silent(server: Address, out: Effect[]): void
  heard(server: Address): void
}

export interface Reader extends EpochFollower, Listener {
  readonly token: number
  readonly topic: TopicName
  batch(from: Address, batch: Batch, out: Effect[]): void
  pulled(message: MessageOf<'pulled'>, out: Effect[]): void
  refused(message: MessageOf<'refused'>, out: Effect[]): void
  report(from: ServerName, message: MessageOf<'report'>, out: Effect[]): void
  opened(from: Address, message: MessageOf<'opened'>, out: Effect[]): void
  close(out: Effect[]): void
  /** Calls back once everything that was given early until now is confirmed or retracted; absent for who gives nothing early. */
  whenConfirmed?(told: () => void): void
}
