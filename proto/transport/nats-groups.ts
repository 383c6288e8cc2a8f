/**
 * Sending one frame to several servers as one NATS message. Servers listen to a group when a client asks them to; until a
 * server said that it does, it gets its own copy, so nothing depends on who listens since when.
 */
import type { Address } from '../ids.ts'
import type { Peer } from './nats-peers.ts'
import { hashOfGroup } from './nats-subjects.ts'

/** A group as its sender sees it. */
export interface SendingGroup {
  readonly hash: string
  readonly members: readonly Address[]
  /** Those that listen, by the life in which they said so. */
  readonly listening: Map<Address, string>
  uses: number
  usedMs: number
  askedMs: number
}

const sendingMax = 64
const listeningMax = 256
const askAgainMs = 1_000
/** A group that a sender did not use for this long is agreed upon anew … */
const senderForgetsMs = 60_000
/** … long before its members stop to listen. */
const memberForgetsMs = 600_000

export class SendingGroups {
  readonly #byMembers = new Map<string, SendingGroup>()
  readonly #byHash = new Map<string, SendingGroup>()

  /** The group of these members; its first use only notes that there is one. */
  use(members: readonly Address[], nowMs: number): SendingGroup {
    const key = members.join(' ')
    const group = this.#byMembers.get(key) ?? this.#add(key, members)
    if (nowMs - group.usedMs > senderForgetsMs) group.listening.clear()
    group.uses += 1
    group.usedMs = nowMs
    return group
  }

  /** Whether those that do not listen yet are to be asked now. */
  isToAsk(group: SendingGroup, nowMs: number): boolean {
    return group.uses > 1 && nowMs - group.askedMs >= askAgainMs
  }

  joined(hash: string, peer: Peer): void {
    const group = this.#byHash.get(hash)
    if (group?.members.includes(peer.address)) group.listening.set(peer.address, peer.life)
  }

  clear(): void {
    this.#byMembers.clear()
    this.#byHash.clear()
  }

  #add(key: string, members: readonly Address[]): SendingGroup {
    if (this.#byMembers.size >= sendingMax) {
      const [oldest] = this.#byMembers
      if (oldest !== undefined) {
        this.#byMembers.delete(oldest[0])
        this.#byHash.delete(oldest[1].hash)
      }
    }
    const never = Number.NEGATIVE_INFINITY
    const group = {
      hash: hashOfGroup(members),
      members: [...members],
      listening: new Map<Address, string>(),
      uses: 0,
      usedMs: never,
      askedMs: never,
    }
    this.#byMembers.set(key, group)
    this.#byHash.set(group.hash, group)
    return group
  }
}

/** What can be ended: a subscription. */
interface Ending {
  unsubscribe(): void
}

interface Listening {
  readonly subscription: Ending
  usedMs: number
}

/** The groups that a server listens to. */
export class ListeningGroups {
  readonly #groups = new Map<string, Listening>()

  /** @returns false when it listens to too many already: the sender goes on without */
  join(hash: string, nowMs: number, subscribe: () => Ending): boolean {
    const known = this.#groups.get(hash)
    if (known !== undefined) {
      known.usedMs = nowMs
      return true
    }
    for (const [idle, group] of this.#groups) {
      if (nowMs - group.usedMs <= memberForgetsMs) continue
      group.subscription.unsubscribe()
      this.#groups.delete(idle)
    }
    if (this.#groups.size >= listeningMax) return false
    this.#groups.set(hash, { subscription: subscribe(), usedMs: nowMs })
    return true
  }

  used(hash: string, nowMs: number): void {
    const group = this.#groups.get(hash)
    if (group !== undefined) group.usedMs = nowMs
  }
}
