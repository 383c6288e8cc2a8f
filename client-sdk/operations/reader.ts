/** What reads a topic in a client: the machine hands it whatever comes for its token, or for its topic. */
import type { Address, ServerName, TopicName } from '../../proto/ids.ts'
import type { Effect } from '../../proto/machine/contract.ts'
import type { Batch, MessageOf } from '../../proto/wire/messages.ts'
import type { EpochFollower } from '../follower.ts'

export interface Reader extends EpochFollower {
  readonly token: number
  readonly topic: TopicName
  batch(from: Address, batch: Batch, out: Effect[]): void
  pulled(message: MessageOf<'pulled'>, out: Effect[]): void
  refused(message: MessageOf<'refused'>, out: Effect[]): void
  report(from: ServerName, message: MessageOf<'report'>, out: Effect[]): void
  opened(from: Address, message: MessageOf<'opened'>, out: Effect[]): void
  peer(address: Address, up: boolean, out: Effect[]): void
  close(out: Effect[]): void
  /** Calls back once everything that was given early until now is confirmed or retracted; absent for who gives nothing early. */
  whenConfirmed?(told: () => void): void
}
