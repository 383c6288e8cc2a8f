/** One run of the demo: servers, publishers, subscribers, what happens to them, and the verdict. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Client, connect, EpochcastError } from '../../client-sdk/index.ts'
import { diagnose } from './diagnosis.ts'
import { countLines, makeInput, readLines } from './input.ts'
import { Ledger } from './ledger.ts'
import type { DemoOptions } from './options.ts'
import { Pace } from './pace.ts'
import { Publishing } from './publishing.ts'
import { Reader } from './reader.ts'
import { count } from './report.ts'
import { firstMembers, perform, type Stage, type Step, type StepResult, serverIds, stepsWith } from './script.ts'
import { Servers } from './servers.ts'
import { Status } from './status.ts'
import { Substrate } from './substrate.ts'
import { judge, type Verdict } from './verdict.ts'

const topicName = 'lines'
const defaultLines = 100_000
const pollMs = 2
const decidesWithinMs = 30_000
const publisherCount = 2

export class Run {
  readonly #options: DemoOptions
  readonly #signal: AbortSignal
  readonly #trouble = new AbortController()
  readonly #clients: Client[] = []
  readonly #readers: Reader[] = []
  readonly #reading: Promise<void>[] = []
  readonly #results: StepResult[] = []
  #servers: Servers | null = null
  #substrate: Substrate | null = null
  #steps: readonly Step[] = []
  #publishing: Publishing | null = null
  #epoch = 0
  #now = 'starting'
  readonly #status = new Status(() => this.#line())

  constructor(options: DemoOptions, signal: AbortSignal) {
    this.#options = options
    this.#signal = AbortSignal.any([signal, this.#trouble.signal])
  }

  /** @throws whatever made it impossible to come to a verdict, with a diagnosis on stderr */
  async run(): Promise<Verdict> {
    const folder = await mkdtemp(join(tmpdir(), 'epochcast-demo-'))
    try {
      const verdict = await unlessAborted(this.#signal, this.#play(folder))
      this.#status.end()
      return verdict
    } catch (error) {
      this.#trouble.abort(error)
      await this.#explain()
      throw error
    } finally {
      this.#status.end()
      await Promise.all(this.#clients.map((client) => client.close()))
      const stubborn = (await this.#servers?.stop()) ?? []
      await this.#substrate?.stop()
      if (stubborn.length > 0) process.stderr.write(`had to be killed at the end: ${stubborn.join(', ')}\n`)
      if (this.#options.keep) process.stderr.write(`kept: ${folder}\n`)
      else await rm(folder, { recursive: true, force: true })
    }
  }

  /** The process ends now. */
  abandon(): void {
    this.#servers?.killAll()
    this.#substrate?.killAll()
  }

  async #play(folder: string): Promise<Verdict> {
    const { input, lines } = this.#options
    const substrate = await Substrate.start(this.#options, folder)
    this.#substrate = substrate
    // Ended while it started.
    if (this.#signal.aborted) await substrate.stop()
    this.#signal.throwIfAborted()
    const { serveArgs, nats, decider } = substrate
    const servers = new Servers(folder, (error) => this.#trouble.abort(error), ['--no-replace', ...serveArgs], nats)
    this.#servers = servers
    this.#steps = stepsWith(substrate)
    const steps = this.#steps
    const path = input ?? join(folder, 'input.txt')
    if (input === null) await makeInput(path, lines ?? defaultLines)
    const total = await countLines(path, lines ?? Number.POSITIVE_INFINITY)
    if (total < steps.length + 1) throw new Error(`${path} has ${total} lines; this takes at least ${steps.length + 1}`)
    await servers.boot(serverIds)
    const admin = (await this.#connect(servers)).admin
    while ((await admin.servers({ signal: this.#signal })).some((server) => !server.alive)) await this.#pause()
    const topic = { members: firstMembers, mode: 'fault-masking', ...(decider && { decider }) } as const
    await this.#untilDecided(() => admin.createTopic(topicName, { ...topic, signal: this.#signal }))
    this.#status.say(`${serverIds.length} servers, ${count(total)} lines`)
    if (substrate.about !== '') this.#status.say(substrate.about)
    const ledger = new Ledger(total)
    const pace = new Pace(total, steps.length)
    const clients = await Promise.all(Array.from({ length: publisherCount }, () => this.#connect(servers)))
    const topics = clients.map((client) => client.topic(topicName))
    const publishing = new Publishing(topics, ledger, pace)
    this.#publishing = publishing
    await this.#join(servers, ledger)
    const stage: Stage = {
      servers,
      substrate,
      admin,
      topic: topicName,
      signal: this.#signal,
      now: (text) => this.#tell(text),
    }
    const streamed = publishing.run(readLines(path, total), this.#signal)
    await Promise.all([streamed, this.#happen(stage, pace, publishing, ledger)])
    await this.#end(stage)
    const changes = steps.filter((step) => step.change !== undefined).length
    return judge(ledger, publishing, this.#readers, this.#results, changes)
  }

  /** Makes the steps, each when its part of the lines is under way. */
  async #happen(stage: Stage, pace: Pace, publishing: Publishing, ledger: Ledger): Promise<void> {
    const joinAtStep = Math.floor(this.#steps.length / 2)
    for (const [at, step] of this.#steps.entries()) {
      while (!pace.isStepDue(publishing.published)) await this.#pause()
      // The second subscriber joins midway.
      if (at === joinAtStep) await this.#join(stage.servers, ledger)
      pace.begin()
      const result = await perform(step, stage)
      pace.made()
      this.#results.push(result)
      this.#status.say(`${step.kind}: ${step.about} (${(result.endedMs - result.beganMs).toFixed(0)} ms)`)
    }
  }

  /** Ends the last epoch: what the subscribers have not been given before its event they will never be given. */
  async #end(stage: Stage): Promise<void> {
    this.#tell('last epoch')
    const { configuration } = await stage.admin.reconfigure(topicName, { signal: this.#signal }).enabled
    const isBehind = (reader: Reader) => reader.ends.at(-1)?.configuration.epoch !== configuration.epoch
    while (this.#readers.some(isBehind)) await this.#pause()
    await Promise.all(this.#readers.map((reader) => reader.stop()))
    await Promise.all(this.#reading)
  }

  async #join(servers: Servers, ledger: Ledger): Promise<void> {
    const reader = new Reader(`subscriber ${this.#readers.length + 1}`, ledger)
    const client = await this.#connect(servers)
    const reading = reader.read(client.topic(topicName).subscribe({ from: 'start', events: true }))
    reading.catch((error: unknown) => this.#trouble.abort(error))
    this.#readers.push(reader)
    this.#reading.push(reading)
  }

  async #connect(servers: Servers): Promise<Client> {
    const client = await connect(servers.url, { signal: this.#signal })
    this.#clients.push(client)
    return client
  }

  /** An engine outside of the cluster that has just been started may need a moment until it decides. */
  async #untilDecided(create: () => Promise<unknown>): Promise<void> {
    const giveUpAt = performance.now() + decidesWithinMs
    for (;;) {
      try {
        await create()
        return
      } catch (error) {
        const isEarly = error instanceof EpochcastError && error.code === 'EC_NO_DECIDER'
        if (!isEarly || performance.now() > giveUpAt) throw error
      }
      await this.#pause()
    }
  }

  #pause(): Promise<void> {
    return sleep(pollMs, undefined, { signal: this.#signal })
  }

  #tell(text: string): void {
    this.#now = text
  }

  #line(): string {
    const { published = 0, acked = 0 } = this.#publishing ?? {}
    const delivered = this.#readers.map((reader) => count(reader.delivered)).join(' / ')
    this.#epoch = Math.max(1, ...this.#readers.map((reader) => reader.ends.at(-1)?.configuration.epoch ?? 1))
    const numbers = `published ${count(published)}  acked ${count(acked)}  delivered ${delivered || 0}  epoch ${this.#epoch}`
    return this.#now === '' ? numbers : `${numbers}  ${this.#now}`
  }

  async #explain(): Promise<void> {
    const line = this.#line()
    this.#status.end()
    process.stderr.write(`stopped at: ${line}\n`)
    const admin = this.#clients[0]?.admin
    const lines = admin === undefined ? [] : await diagnose(admin, topicName)
    for (const reader of this.#readers) {
      const end = reader.ends.at(-1)
      lines.push(`${reader.name}: ${reader.delivered} lines, last event: epoch ${end?.ended ?? 'none'} ended`)
    }
    process.stderr.write(`${lines.join('\n')}\n`)
  }
}

/** Does not wait for work that cannot be interrupted. */
function unlessAborted<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason)
    if (signal.aborted) onAbort()
    signal.addEventListener('abort', onAbort, { once: true })
    work.then(resolve, (error: unknown) => reject(signal.aborted ? signal.reason : error))
  })
}
