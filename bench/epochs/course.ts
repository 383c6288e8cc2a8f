/** One run under load: undisturbed, with epoch changes, with members killed and frozen, undisturbed again. */
import { setTimeout as sleep } from 'node:timers/promises'
import { type ChangeTimes, EpochcastError, type Progress } from '../../client-sdk/index.ts'
import { serverIdOf } from '../../proto/ids.ts'
import type { Cluster } from '../cluster/cluster.ts'
import { nowUs } from '../measure/clock.ts'
import { until } from '../measured-load.ts'
import type { Session } from '../session.ts'
import { type Kind, type Membership, planChange } from './kinds.ts'

/** A change that takes longer is one that does not end. */
const changeTimeoutMs = 30_000

export interface Made {
  readonly kind: Kind
  readonly about: string
  readonly beganUs: number
  /** When the next epoch took operations. */
  readonly enabledUs: number
  readonly times: ChangeTimes
}

export interface Harmed {
  readonly how: 'kill' | 'freeze'
  readonly member: string
  readonly fromUs: number
  readonly toUs: number
}

/** Two moments, of the common clock. */
export interface Span {
  readonly fromUs: number
  readonly toUs: number
}

export class Course {
  readonly made: Made[] = []
  readonly harmed: Harmed[] = []
  /** When nothing happened. */
  readonly quiet: Span[] = []
  /** Why no more changes were made. */
  failure: string | null = null
  readonly #session: Session
  readonly #cluster: Cluster
  readonly #topic: string
  #membership: Membership

  constructor(session: Session, cluster: Cluster, topic: string, membership: Membership) {
    this.#session = session
    this.#cluster = cluster
    this.#topic = topic
    this.#membership = membership
  }

  async undisturbed(seconds: number): Promise<void> {
    const fromUs = nowUs()
    await until(fromUs + seconds * 1e6, this.#session.signal)
    this.quiet.push({ fromUs, toUs: nowUs() })
  }

  /** Makes the changes one after the other, each when it is due or when the one before it is done. */
  async changes(kinds: readonly Kind[], count: number, seconds: number): Promise<Span> {
    const fromUs = nowUs()
    const periodUs = (seconds * 1e6) / count
    const { signal } = this.#session
    for (let at = 0; at < count; at++) {
      await until(fromUs + at * periodUs, signal)
      const kind = kinds[at % kinds.length]
      if (kind === undefined) throw new Error('no kind of change is named')
      try {
        await this.#change(kind)
      } catch (error) {
        if (!(error instanceof EpochcastError) || signal.aborted) throw error
        this.failure = `change ${at + 1} (${kind}): ${error.message}`
        this.#session.say(this.failure)
        return { fromUs, toUs: nowUs() }
      }
    }
    await until(fromUs + seconds * 1e6, signal)
    return { fromUs, toUs: nowUs() }
  }

  /** Kills or freezes a member, waits, and brings it back; before it so long nothing happens, to compare with. */
  async harm(how: 'kill' | 'freeze', at: number, seconds: number, settleSeconds: number): Promise<void> {
    const { signal } = this.#session
    const { members } = await this.#cluster.admin.topic(this.#topic, { signal })
    const chosen = members[at % members.length]
    if (chosen === undefined) throw new Error(`${this.#topic} has no members`)
    const member = serverIdOf(chosen.name)
    await this.undisturbed(seconds)
    this.#session.now(`${how} ${member}`)
    const fromUs = nowUs()
    if (how === 'kill') await this.#cluster.kill(member)
    else this.#cluster.freeze(member)
    await until(fromUs + seconds * 1e6, signal)
    this.harmed.push({ how, member, fromUs, toUs: nowUs() })
    if (how === 'kill') await this.#cluster.restart(member)
    else this.#cluster.thaw(member)
    await sleep(settleSeconds * 1000, undefined, { signal })
  }

  async #change(kind: Kind): Promise<void> {
    const { signal } = this.#session
    const plan = planChange(kind, this.#membership, this.#cluster.ids)
    const { harm, next } = plan
    this.#session.now(`change ${this.made.length + 1}: ${plan.about}`)
    const hurt = async () => {
      if (harm?.how === 'kill') await this.#cluster.kill(harm.id)
      else if (harm !== null) this.#cluster.freeze(harm.id)
    }
    const beganUs = nowUs()
    if (harm?.at === 'before') await hurt()
    let hurting: Promise<void> | null = null
    const onProgress = ({ phase }: Progress) => {
      if (harm !== null && phase === harm.at) hurting ??= hurt()
    }
    const { members, mode } = next
    const change = plan.kind === 'same' ? {} : { members, mode }
    const options = { ...change, signal, onProgress, timeoutMs: changeTimeoutMs }
    const result = await this.#cluster.admin.reconfigure(this.#topic, options).enabled
    const enabledUs = nowUs()
    await hurting
    if (harm?.how === 'freeze') this.#cluster.thaw(harm.id)
    else if (harm !== null) await this.#cluster.restart(harm.id)
    const { configuration, times } = result
    const got = configuration.members.map((member) => serverIdOf(member.name))
    if (configuration.mode !== mode || [...got].sort().join() !== [...members].sort().join()) {
      throw new Error(`${plan.about}: it became ${configuration.mode} ${got.join(',')}`)
    }
    this.#membership = next
    this.made.push({ kind: plan.kind, about: plan.about, beganUs, enabledUs, times })
  }
}
