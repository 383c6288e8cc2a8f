/** Reads what was published before the place where a subscription starts, without bodies: what waits for what, and in which sequence. */
import type { Address } from '../../proto/ids.ts'
import type { Effect } from '../../proto/machine/contract.ts'
import type { MessageSet } from '../../proto/message-set.ts'
import type { Batch, MessageOf } from '../../proto/wire/messages.ts'
import type { Follower } from '../follower.ts'
import type { ClientTimers } from '../timers.ts'
import { Fetch, type FetchWanted, Prefix } from './fetch.ts'

export class Survey {
  readonly #fetch: Fetch
  readonly #batches: Batch[] = []

  /** @param then is called once, with the batches as they came: each publisher's in sequence */
  constructor(
    of: Pick<FetchWanted, 'topic' | 'epoch' | 'until'> & { readonly since: MessageSet },
    token: number,
    turn: number,
    follower: Follower,
    timers: ClientTimers,
    then: (batches: readonly Batch[], out: Effect[]) => void,
  ) {
    const { since, ...wanted } = of
    const members = (): Address[] => follower.addresses()
    this.#fetch = new Fetch({ ...wanted, prefix: new Prefix(since), bare: true }, token, members, turn, {
      timers,
      fetched: (batch) => this.#batches.push(batch),
      complete: (out) => then(this.#batches, out),
      hasRoom: () => true,
      busyTicks: (from) => follower.busyTicks(from),
      isUp: (server) => follower.isUp(server),
      stalled: (out) => follower.suspect(out),
    })
  }

  start(out: Effect[]): void {
    this.#fetch.next(out)
  }

  batch(batch: Batch, out: Effect[]): void {
    this.#fetch.batch(batch, out)
  }

  pulled(message: MessageOf<'pulled'>, out: Effect[]): void {
    this.#fetch.pulled(message, out)
  }

  peer(server: Address, isUp: boolean, out: Effect[]): void {
    this.#fetch.peer(server, isUp, out)
  }

  refused(): void {
    this.#fetch.refused()
  }

  cancel(): void {
    this.#fetch.cancel()
  }
}
