/** Which cluster this server belongs to: told once, at the bootstrap or by a server of a cluster that it was sent to join. */
import type { Decider, Member } from '../../proto/configuration.ts'
import type { EpochcastError } from '../../proto/errors.ts'
import type { Address, ClusterId } from '../../proto/ids.ts'
import { type Effect, send } from '../../proto/machine/contract.ts'
import { firstVersion, formatRange, otherVersion, speaks, type VersionRange } from '../../proto/version.ts'
import { type Frame, messageBytes } from '../../proto/wire/codec.ts'
import { type ClusterRecord, isTopical, type MessageOf, type MessageTo } from '../../proto/wire/messages.ts'
import type { Directory } from './directory.ts'
import type { Incarnations } from './incarnations.ts'

export class Belonging {
  readonly #self: Member
  readonly #directory: Directory
  readonly #incarnations: Incarnations
  /** Of this process. */
  readonly #incarnation: () => number
  readonly #versions: VersionRange
  /** An empty server that was told whom to join belongs to their cluster from then on. */
  readonly #joinsOthers: boolean
  readonly #tellJoined: () => void
  #record: ClusterRecord | null = null

  constructor(
    self: Member,
    directory: Directory,
    incarnations: Incarnations,
    incarnation: () => number,
    joinsOthers: boolean,
    versions: VersionRange,
    tellJoined: () => void = () => {},
  ) {
    this.#versions = versions
    this.#self = self
    this.#directory = directory
    this.#incarnations = incarnations
    this.#incarnation = incarnation
    this.#joinsOthers = joinsOthers
    this.#tellJoined = tellJoined
  }

  get id(): ClusterId | '' {
    return this.#record?.id ?? ''
  }

  get arbiters(): readonly Member[] {
    return this.#record?.arbiters ?? []
  }

  /** Who decides about new topics. */
  get decider(): Decider {
    return this.#record?.decider ?? 'engine'
  }

  /** The version of the protocol that is spoken in the cluster. */
  get version(): number {
    return this.#record?.version ?? firstVersion
  }

  /**
   * A record that survived a restart.
   * @throws EpochcastError `EC_PROTOCOL_VERSION` where this server does not speak what its cluster speaks
   */
  recover({ cluster }: MessageOf<'join'>): void {
    if (!this.#isSpoken(cluster)) throw this.#notSpoken(cluster)
    this.#record = cluster
    this.#directory.recoverServers(cluster.arbiters)
  }

  /** Whether the sender of a frame belongs to the cluster of this server. */
  shares({ envelope }: Frame): boolean {
    return this.#record !== null && envelope.cluster === this.#record.id
  }

  take(from: Address, token: number, message: MessageTo<'cluster'>, out: Effect[]): void {
    switch (message.kind) {
      case 'introduce':
        return this.#identify(from, token, out)
      case 'identity':
        return this.#onIdentity(token, message, out)
      case 'join':
        return this.#onJoin(from, token, message, out)
    }
  }

  #identify(to: Address, token: number, out: Effect[]): void {
    const cluster = this.#record
    const incarnation = this.#incarnation()
    const known = { member: this.#self, ...(cluster && { cluster }), incarnation, versions: this.#versions }
    send(out, to, { kind: 'identity', ...known }, token)
  }

  #onIdentity(token: number, { cluster, member, incarnation }: MessageOf<'identity'>, out: Effect[]): void {
    if (incarnation !== undefined) this.#incarnations.answered(token, member, incarnation, out)
    if (cluster === undefined) return
    if (this.#record === null && this.#joinsOthers) {
      if (!this.#isSpoken(cluster)) throw this.#notSpoken(cluster)
      this.#adopt(cluster, out)
    }
    if (this.#record?.id !== cluster.id) return
    if (incarnation !== undefined && !this.#incarnations.meets(member, incarnation, out)) return
    this.#directory.told([member], out)
    // It answered itself, so this is where it is now: after a move, what is noted of it is wrong.
    this.#directory.heard(member, out)
  }

  #onJoin(from: Address, token: number, message: MessageOf<'join'>, out: Effect[]): void {
    if (this.#record === null && !this.#isSpoken(message.cluster)) {
      const detail = this.#notSpoken(message.cluster).message
      return send(out, from, { kind: 'declined', refusal: 'other-version', detail }, token)
    }
    if (this.#record === null) this.#adopt(message.cluster, out)
    if (this.#record?.id === message.cluster.id) send(out, from, { kind: 'joined', member: this.#self }, token)
    else this.#identify(from, token, out)
  }

  #isSpoken({ version = firstVersion }: ClusterRecord): boolean {
    return speaks(this.#versions, version)
  }

  #notSpoken({ id, version = firstVersion }: ClusterRecord): EpochcastError {
    const known = formatRange(this.#versions)
    return otherVersion(`cluster ${id} speaks version ${version} of the protocol, server ${this.#self.name} ${known}`)
  }

  #adopt(cluster: ClusterRecord, out: Effect[]): void {
    this.#record = cluster
    out.push({ kind: 'persist', record: 'protocol', bytes: messageBytes({ kind: 'join', cluster }) })
    this.#directory.told(cluster.arbiters, out)
    this.#tellJoined()
  }

  /** Answers a frame from elsewhere. */
  refuse(from: Address, { message, envelope }: Frame, out: Effect[]): void {
    if (!isTopical(message) || message.kind === 'refused') return
    const { topic, epoch } = message
    const refusal = this.#record === null ? 'no-cluster' : 'other-cluster'
    const detail = this.#record === null ? 'this server has not joined a cluster' : `this is cluster ${this.#record.id}`
    send(out, from, { kind: 'refused', topic, epoch, refusal, detail }, envelope.token)
  }
}
