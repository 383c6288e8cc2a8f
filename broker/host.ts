import type { Configuration, Decision, Intent, Member } from '../proto/configuration.ts'
import type { Address, ServerName, TopicName } from '../proto/ids.ts'
import type { Effect } from '../proto/machine/contract.ts'
import type { Random } from '../proto/machine/ports.ts'
import type { Store } from '../proto/machine/store.ts'
import type { Sync } from '../proto/sync.ts'
import type { Audience } from './audience.ts'
import type { Drops } from './drops.ts'
import type { Outlets } from './outlets.ts'
import type { ServerTimers } from './timers.ts'

/** Space for batches and staged bodies; protocol records have their own. */
export type Room = Pick<Store, 'full' | 'admits'>

/** Room without an end. */
export const endlessRoom: Room = { full: false, admits: () => true }

/** What the machines of one server share. */
export interface Host {
  readonly self: Member
  /** Random at every process start; part of every stake. */
  readonly incarnation: number
  readonly random: Random
  readonly timers: ServerTimers
  /** A number that no other request of this process carries. */
  nextToken(): number
  /** Where a member is now: servers may have moved since the configuration was decided. */
  addressOf(member: Member): Address
  /** Whether a server was heard of lately: a hint about whom not to wait for, never more. */
  isAlive(name: ServerName): boolean
  /** Whether this process has had the time to hear of everybody who is there. */
  isSettled(): boolean
  /** Whether a server said lately that its disk is full: for people, who hear why a change waits. */
  isFull(member: Member): boolean
  /** Servers that answer, this one included: where spare ones are looked for. */
  alive(): readonly Member[]
  /** None of several others answers: as far as this server can know, it is the one that is cut off. */
  isCutOff(): boolean
  /** Space on this server's disk: no batch is stored or staged without it. */
  readonly room: Room
  /** Clients that read here. */
  readonly audience: Audience
  /** What waits for each receiver. */
  readonly outlets: Outlets
  /** Frames that are not handled. */
  readonly drops: Drops
  /** When batches are flushed here: what an acknowledgement of this server means. */
  readonly sync: Sync
  /** Asks the engine outside of the cluster that decides how this epoch ends, if there is one; told only if it has ended. */
  askDecider(of: Configuration, done: (decision: Decision, out: Effect[]) => void, out: Effect[]): void
  /** Asks whoever keeps the newest configurations; told only if there is one. */
  askNewest(topic: TopicName, done: (newest: Configuration, out: Effect[]) => void, out: Effect[]): void
  /** Notes a configuration with the arbiters, for clients that are lost; told once they keep it. */
  note(configuration: Configuration, done: () => void, out: Effect[]): void
  /** Topics of this server. */
  topicCount(): number
  /** Starts or finishes a change of a topic on this server. */
  coordinate(topic: TopicName, intent: Intent, out: Effect[]): void
}

/** Numbers that bound a server. Times are in ticks. */
export interface Limits {
  /** Publishers in one epoch; three quarters of them roll the epoch. */
  readonly publishersMax: number
  /** Body bytes that are asked for at first; twice as many each time that there are more. */
  readonly pullBytes: number
  /** Body bytes in one answer to a pull. */
  readonly pullBytesMax: number
  /** Silence after which a request between servers is made again elsewhere. */
  readonly requestTicks: number
  /** Ticks between two exchanges of vectors among members. */
  readonly reportTicks: number
  /** Silence of a coordinator after which a wedged member finishes its change; as much again is random. */
  readonly takeoverTicks: number
  /** Ticks between two sendings of a step of a change. */
  readonly resendTicks: number
  /** How long a coordinator waits for reports beyond those needed, where they are not a majority. */
  readonly graceTicks: number
  /** Ticks without progress after which a next member counts as dead while staging. */
  readonly stageTicks: number
  /** Ticks without progress after which a plan fails with nothing stopped, a question is given up, a roll asked for again. */
  readonly planTicks: number
  /** Clients without a sign of life for this long are forgotten. */
  readonly clientTicks: number
  /** Silence of a sequencer, while messages wait for their place, after which its epoch is ended; as much again is random. */
  readonly sequencerTicks: number
  /** How long a member of a fault-recovery topic has to be believed dead before it is replaced; 0: never. */
  readonly recoveryReplaceTicks: number
  /** The same in fault-masking mode, where nothing stands still meanwhile. */
  readonly maskingReplaceTicks: number
}

export const limits: Limits = {
  publishersMax: 1024,
  pullBytes: 1024 * 1024,
  pullBytesMax: 8 * 1024 * 1024,
  requestTicks: 30,
  reportTicks: 10,
  takeoverTicks: 60,
  resendTicks: 5,
  graceTicks: 2,
  stageTicks: 100,
  planTicks: 500,
  clientTicks: 3000,
  sequencerTicks: 50,
  recoveryReplaceTicks: 0,
  maskingReplaceTicks: 0,
}
