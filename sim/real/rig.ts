/** A cluster of real processes under load, and what can be done to it. One rig, one history. */
import { cpSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Random } from '../../proto/machine/ports.ts'
import { checkHistory } from '../check/check.ts'
import { parseHistory } from '../check/history.ts'
import { judge } from './history.ts'
import { type ClusterOptions, ProcessCluster, servesWithinMs, type TopicPlan } from './process-cluster.ts'
import type { ServerProcess } from './server-process.ts'
import { formatShared, sharedHistory } from './shared-history.ts'
import { Workload, type WorkloadOptions } from './workload.ts'

export interface RigOptions extends Omit<ClusterOptions, 'topics'> {
  readonly random: Random
  readonly load?: Pick<WorkloadOptions, 'window' | 'pauseMs'>
  readonly topics?: readonly TopicPlan[]
}

const usualTopics: readonly TopicPlan[] = [
  { name: 'fm', mode: 'fault-masking', members: ['a', 'b', 'c'] },
  { name: 'fr', mode: 'fault-recovery', members: ['a', 'b'] },
]

export class Rig {
  readonly workload: Workload
  readonly random: Random
  readonly folder: string
  /** Topics beside the usual ones. */
  readonly made = new Set<string>()
  readonly #cluster: ProcessCluster

  private constructor(options: RigOptions, cluster: ProcessCluster) {
    this.random = options.random
    this.folder = options.folder
    this.#cluster = cluster
    const names = cluster.topics.map(({ name }) => name)
    this.workload = new Workload({ url: cluster.url, topics: names, ...options.load })
  }

  /** Starts servers with empty disks, makes them a cluster with its topics, and lets the clients begin. */
  static async create(options: RigOptions): Promise<Rig> {
    const rig = new Rig(options, await ProcessCluster.plan({ topics: usualTopics, ...options }))
    try {
      await rig.#cluster.start()
      await rig.workload.start()
      await rig.workload.serves(servesWithinMs)
      return rig
    } catch (error) {
      await rig.killAll()
      throw error
    }
  }

  get servers(): ReadonlyMap<string, ServerProcess> {
    return this.#cluster.servers
  }

  get topics(): readonly TopicPlan[] {
    return this.#cluster.topics
  }

  /** Names of the servers with their storage, by id. */
  get names(): Map<string, string> {
    return this.#cluster.names
  }

  get url(): string {
    return this.#cluster.url
  }

  server(id: string): ServerProcess {
    return this.#cluster.server(id)
  }

  /** One of these, by chance. */
  pick<T>(of: readonly T[]): T {
    return of[this.random.below(of.length)] as T
  }

  /** Up to `most` servers, at least one, by chance. */
  pickServers(most: number): ServerProcess[] {
    const left = [...this.servers.values()]
    const count = 1 + this.random.below(Math.min(most, left.length))
    return Array.from({ length: count }, () => left.splice(this.random.below(left.length), 1)[0] as ServerProcess)
  }

  async serves(): Promise<void> {
    await this.workload.serves(servesWithinMs)
    this.#mustBeWell()
  }

  /** An epoch change beside everything else, to the same members, now and then. Its end is not waited for. */
  roll(): void {
    const { name, members, mode } = this.pick(this.topics)
    this.workload.fault(`change of ${name}`)
    void this.#cluster
      .withAdmin(async (admin) => {
        await admin.reconfigure(name, { members, mode, expectEpoch: 'any', timeoutMs: 10_000 }).enabled
      })
      .catch(() => {})
  }

  async until(isTrue: () => boolean, what: string, withinMs: number): Promise<void> {
    const deadline = performance.now() + withinMs
    while (!isTrue()) {
      if (performance.now() > deadline) throw new Error(what)
      await sleep(20)
    }
  }

  /** Brings a topic back to its members, by whatever servers have their names now. */
  async restoreMembers(): Promise<void> {
    for (const { name, members, mode } of this.topics) {
      await this.#cluster.withAdmin(async (admin) => {
        const change = admin.reconfigure(name, { members, mode, expectEpoch: 'any', timeoutMs: servesWithinMs })
        await change.enabled
      })
    }
  }

  /** Ends the load, waits until everybody has everything, and judges. @returns what does not hold */
  async finish(): Promise<string[]> {
    try {
      await this.workload.finish(servesWithinMs)
      this.#mustBeWell()
      return this.#judge(true)
    } catch (error) {
      return [...this.#judge(false), error instanceof Error ? error.message : String(error)]
    } finally {
      await this.workload.close().catch(() => {})
    }
  }

  /** By the rules over what clients saw, and by those of simulated runs. */
  #judge(isQuiet: boolean): string[] {
    const { history } = this.workload
    const shared = parseHistory(formatShared(sharedHistory(history, this.folder, isQuiet)))
    return [...judge(history), ...checkHistory(shared).map(({ rule, text }) => `${rule}: ${text}`)]
  }

  /** What a reader needs to see what went wrong: everything that clients saw, beside the servers' logs and disks. */
  keepHistory(problems: readonly string[]): void {
    const text = formatShared(sharedHistory(this.workload.history, this.folder, problems.length === 0))
    writeFileSync(join(this.folder, 'history.jsonl'), text)
    writeFileSync(join(this.folder, 'problems.txt'), `${problems.join('\n')}\n`)
  }

  async killAll(): Promise<void> {
    await this.workload.close().catch(() => {})
    await this.#cluster.kill()
  }

  #mustBeWell(): void {
    if (this.workload.failure !== null) throw this.workload.failure
    this.#cluster.mustBeWell()
  }
}

/** Copies of data directories, as a backup makes them. */
export function copyDirectory(from: string, to: string): void {
  rmSync(to, { recursive: true, force: true })
  cpSync(from, to, { recursive: true })
}

export async function between(random: Random, fromMs: number, toMs: number): Promise<void> {
  await sleep(fromMs + random.below(toMs - fromMs))
}
