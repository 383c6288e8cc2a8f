/**
 * The one-time act that makes a cluster: its UUID and its arbiters. Doing it again finishes what was half done and changes
 * nothing else; the same call on servers with empty disks does not recreate a cluster that the others belong to.
 */
import { randomUUID } from 'node:crypto'
import type { Decider, Member } from '../proto/configuration.ts'
import { having } from '../proto/door/checks.ts'
import { EpochcastError } from '../proto/errors.ts'
import { type Address, clusterId, serverIdOf } from '../proto/ids.ts'
import { type Effect, type Input, type Machine, send } from '../proto/machine/contract.ts'
import { Loop } from '../proto/machine/loop.ts'
import { Timers } from '../proto/machine/timers.ts'
import { after } from '../proto/timer.ts'
import type { Transport } from '../proto/transport/port.ts'
import { agreedVersion, firstVersion, otherVersion, type VersionRange } from '../proto/version.ts'
import type { ClusterRecord } from '../proto/wire/messages.ts'
import { type BootstrapOptions, bootstrapOptions } from './bootstrap-options.ts'

export type { BootstrapOptions } from './bootstrap-options.ts'

/** The record that all servers have on disk, and which of them belonged to no cluster before. */
export interface BootstrapResult extends ClusterRecord {
  readonly joined: readonly Address[]
}

const resendTicks = 20
const arbiterCounts = [5, 3, 1] as const

/** Asks every server who it is, makes the record, hands it to all. */
class Bootstrapper implements Machine {
  readonly #addresses: readonly Address[]
  readonly #decider: Decider
  readonly #done: (result: BootstrapResult | EpochcastError) => void
  readonly #members = new Map<Address, Member>()
  readonly #versions = new Map<Address, VersionRange>()
  readonly #joined = new Set<Address>()
  /** Servers that belonged to no cluster when they were asked. */
  readonly #strangers = new Set<Address>()
  #record: ClusterRecord | null = null
  readonly #timers = new Timers<'ask'>()
  readonly #asking = this.#timers.timer('ask', '', (out) => this.#ask(out))

  constructor(
    addresses: readonly Address[],
    decider: Decider,
    done: (result: BootstrapResult | EpochcastError) => void,
  ) {
    this.#addresses = addresses
    this.#decider = decider
    this.#done = done
  }

  /** Servers that have not answered. */
  get silent(): Address[] {
    return this.#addresses.filter((address) => !this.#members.has(address))
  }

  get nextDue(): number | null {
    return this.#timers.nextDue
  }

  step(input: Input, out: Effect[]): void {
    if (input.kind === 'time') return this.#timers.pass(input.now)
    if (input.kind === 'turn') {
      this.#timers.ring(out)
      if (!this.#asking.isSet) this.#ask(out)
      return
    }
    if (input.kind !== 'frame') return
    const { message, envelope } = input.frame
    // A server may answer under another address than the one it was asked at: the number of the question tells.
    const asked = this.#addresses[envelope.token - 1]
    if (asked === undefined) return
    if (message.kind === 'identity') {
      this.#versions.set(asked, message.versions ?? { min: firstVersion, max: firstVersion })
      this.#onIdentity(asked, message.member, message.cluster, out)
    }
    if (message.kind === 'declined') this.#done(otherVersion(message.detail))
    if (message.kind === 'joined') this.#onJoined(asked)
  }

  #ask(out: Effect[]): void {
    this.#asking.set(resendTicks)
    const record = this.#record
    for (const [at, address] of this.#addresses.entries()) {
      if (!this.#members.has(address)) send(out, address, { kind: 'introduce' }, at + 1)
      else if (record !== null && !this.#joined.has(address))
        send(out, address, { kind: 'join', cluster: record }, at + 1)
    }
  }

  #onIdentity(from: Address, member: Member, cluster: ClusterRecord | undefined, out: Effect[]): void {
    if (cluster === undefined && !this.#members.has(from)) this.#strangers.add(from)
    this.#members.set(from, member)
    if (cluster !== undefined && this.#record === null) this.#record = cluster
    if (cluster !== undefined && cluster.id !== this.#record?.id) {
      this.#done(
        new EpochcastError(
          'EC_OTHER_CLUSTER',
          `${member.name} belongs to cluster ${cluster.id}, others to ${this.#record?.id}`,
        ),
      )
      return
    }
    if (this.silent.length > 0) return
    const lost = this.#lostArbiter()
    if (lost !== null) {
      this.#done(lost)
      return
    }
    try {
      this.#record ??= this.#newRecord()
    } catch (error) {
      if (!(error instanceof EpochcastError)) throw error
      this.#done(error)
      return
    }
    this.#ask(out)
  }

  #onJoined(from: Address): void {
    this.#joined.add(from)
    if (this.#record === null || this.#joined.size < this.#addresses.length) return
    this.#done({ ...this.#record, joined: this.#addresses.filter((address) => this.#strangers.has(address)) })
  }

  /** A server that comes back without its disk under the id of an arbiter is another server; the cluster is not made anew. */
  #lostArbiter(): EpochcastError | null {
    for (const arbiter of this.#record?.arbiters ?? []) {
      const other = [...this.#members.values()].find(
        (member) => serverIdOf(member.name) === serverIdOf(arbiter.name) && member.name !== arbiter.name,
      )
      if (other === undefined) continue
      const text = `cluster ${this.#record?.id} exists already, and ${serverIdOf(arbiter.name)} has lost its storage ${arbiter.name}`
      return new EpochcastError('EC_OTHER_CLUSTER', text, {
        hint: 'its old data directory brings the arbiter back; without it the arbiter is lost for good, and the server joins as another one where it is started with --peers',
      })
    }
    return null
  }

  #newRecord(): ClusterRecord {
    const members = [...this.#members.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
    const count = arbiterCounts.find((size) => size <= members.length) ?? 1
    const decider = this.#decider === 'engine' ? null : this.#decider
    const version = agreedVersion([...this.#versions.values()])
    return { id: clusterId(randomUUID()), arbiters: members.slice(0, count), ...(decider && { decider }), version }
  }
}

/**
 * Makes a cluster of servers that run and belong to none.
 * @returns the record that all of them have on disk; the one they had where they belong to a cluster already
 * @throws EpochcastError `EC_BAD_ARGUMENT` before anybody is dialled, `EC_UNREACHABLE` when one does not answer, `EC_OTHER_CLUSTER`,
 *   `EC_PROTOCOL_VERSION` when the servers have no version of the protocol in common
 */
export async function bootstrap(options: BootstrapOptions): Promise<BootstrapResult> {
  const { servers, dial, timeoutMs = 10_000, decider = 'engine' } = bootstrapOptions(options)
  let loop: Loop | null = null
  let dialled: Promise<Transport> | null = null
  let stop = () => {}
  try {
    return await new Promise<BootstrapResult>((resolve, reject) => {
      const machine = new Bootstrapper(servers, decider, (result) =>
        result instanceof Error ? reject(result) : resolve(result),
      )
      stop = after(timeoutMs, () => {
        const silent = machine.silent.join(', ')
        reject(
          new EpochcastError(
            'EC_UNREACHABLE',
            silent === '' ? 'not all servers joined in time' : `no answer from ${silent}`,
          ),
        )
      })
      loop = new Loop({ machine, name: 'bootstrap', cluster: () => '', onFatal: reject })
      dialled = Promise.resolve(dial(`bootstrap-${randomUUID()}`, loop)).then(aTransport)
      const running = loop
      dialled.then((transport) => running.start(transport), reject)
    })
  } finally {
    stop()
    const [running, open] = [loop as Loop | null, dialled as Promise<Transport> | null]
    running?.stop()
    await open?.then(
      (transport) => transport.close(),
      () => {},
    )
  }
}

/** What a dial of the caller's own gave. */
function aTransport(made: unknown): Transport {
  return having<Transport>('send', 'close')(made, 'what dial gave')
}
