/**
 * Runs a scenario: its commands against a world of its own, and what they make happen as lines of text. A command that changes
 * nothing (a rule that no frame ever meets, a replay of what was never sent) is named: the claim that it stands for is not tried.
 */
import { type Decider, type Mode, modes, orders } from '../../proto/configuration.ts'
import { parseDecider, withoutInstance } from '../../proto/decider.ts'
import { type Epoch, formatMessageId, topicName } from '../../proto/ids.ts'
import { emptySet } from '../../proto/message-set.ts'
import { parseSync, type Sync } from '../../proto/sync.ts'
import { getLevels, type Message, kinds as messageKinds } from '../../proto/wire/messages.ts'
import { checkHistory } from '../../sim/check/history-rules.ts'
import { checkOrders } from '../../sim/check/order-rules.ts'
import { watchRules } from '../../sim/check/server-rules.ts'
import { messagesOf } from '../../sim/world/client-node.ts'
import type { WorldEvent } from '../../sim/world/events.ts'
import type { Parcel, Rule, Selection, Verdict } from '../../sim/world/network.ts'
import type { Operation, Step } from '../../sim/world/operations.ts'
import type { ServerNode } from '../../sim/world/server-node.ts'
import { World, type WorldOptions } from '../../sim/world/world.ts'
import { braces, Names } from './names.ts'
import type { Command, ScenarioFile } from './scenario-file.ts'

type Run = (scenario: Scenario, command: Command) => void

const settleTicksMax = 400

/** What the commands do, by name. */
const runs: Record<string, Run> = {
  cluster: (s, c) => s.cluster(list(c, 'servers'), list(c, 'arbiters'), c.options.get('engine') ?? null),
  engine: (s, c) => s.engine(c),
  topic: (s, c) => s.topic(c),
  client: (s, c) => {
    for (const id of c.words) s.world.client(id)
  },
  add: (s, c) => s.add(c),
  'give-up': (s, c) => s.giveUp(c),
  get: (s, c) => void s.client(c).get(s.topicOf(c), oneOf(getLevels, c, 'level') ?? 'linearizable'),
  flush: (s, c) => void s.client(c).flush(s.topicOf(c)),
  subscribe: (s, c) => s.subscribe(c),
  follow: (s, c) => void s.client(c).follow(s.topicOf(c)),
  outcome: (s, c) => s.outcome(c),
  pull: (s, c) => s.pull(c),
  reconfig: (s, c) => s.reconfigure(c),
  hold: (s, c) => s.rule('hold', c),
  drop: (s, c) => s.rule('drop', c),
  twice: (s, c) => s.rule('twice', c),
  clear: (s, c) => s.expectSome(c, s.world.network.clearRules(selection(c))),
  release: (s, c) => s.moved(c, 'released', s.world.network.release(selection(c))),
  discard: (s, c) => s.moved(c, 'discarded', s.world.network.discard(selection(c))),
  replay: (s, c) => s.moved(c, 'replayed', s.world.replay(selection(c))),
  cut: (s, c) => s.cut(c),
  heal: (s, c) => s.expectSome(c, s.world.network.heal(c.options.has('servers') ? list(c, 'servers') : [])),
  sync: (s, c) => s.sync(c),
  kill: (s, c) =>
    s.change(
      c,
      (server) => server.alive,
      (server) => server.kill(),
    ),
  'kill-process': (s, c) =>
    s.change(
      c,
      (server) => server.alive,
      (server) => server.kill(false),
    ),
  restart: (s, c) =>
    s.change(
      c,
      (server) => !server.alive,
      (server) => server.start(),
    ),
  'lose-disk': (s, c) => s.each(c, (server) => server.loseDisk()),
  'back-up': (s, c) => s.each(c, (server) => server.backUp()),
  'restore-disk': (s, c) => s.each(c, (server) => server.restoreDisk()),
  'kill-client': (s, c) => {
    for (const id of c.words) {
      s.expectSome(c, s.world.clients.has(id) ? 1 : 0)
      s.world.killClient(id)
    }
  },
  crash: (s, c) => s.crash(c),
  fill: (s, c) => s.each(c, (server) => server.fillDisk(true)),
  empty: (s, c) => s.each(c, (server) => server.fillDisk(false)),
  'hold-flush': (s, c) => s.each(c, (server) => server.holdFlushes()),
  'release-flush': (s, c) =>
    s.change(
      c,
      (server) => server.holdsFlushes,
      (server) => server.releaseFlushes(),
    ),
  watch: (s, c) => s.watch(list(c, 'kind')),
  tick: (s, c) => s.world.tick(Number(c.words[0] ?? 1)),
  settle: (s, c) => s.settle(Number(c.options.get('max') ?? settleTicksMax)),
  state: (s, c) => s.state(c),
}

/**
 * Runs all blocks of a scenario.
 * @returns the same file with what really happened in place of what was expected, and the commands that did nothing
 */
export function runScenario(
  file: ScenarioFile,
  options: Partial<WorldOptions> = {},
): { file: ScenarioFile; world: World; idle: readonly string[] } {
  const scenario = new Scenario({ seed: 1, ...options })
  const blocks = file.blocks.map((block) => ({
    ...block,
    expected: scenario.run(block.commands),
  }))
  const last = blocks[blocks.length - 1]
  const found = scenario.finish()
  if (last !== undefined && found.length > 0)
    blocks[blocks.length - 1] = { ...last, expected: [...last.expected, ...found] }
  return { file: { ...file, blocks }, world: scenario.world, idle: scenario.idle() }
}

class Scenario {
  readonly world: World
  readonly #names: Names
  #lines: string[] = []
  #topic = 't'
  #watched: readonly string[] = []
  readonly #syncs = new Map<string, Sync>()
  /** Commands that did nothing when they were run, and rules and crashes that may still come to something. */
  readonly #idle: string[] = []
  readonly #pending: { readonly line: string; readonly isIdle: () => boolean }[] = []

  constructor(options: WorldOptions) {
    this.world = new World({ sync: (server) => this.#syncs.get(server) ?? 'always', ...options })
    this.#names = new Names(this.world)
    watchRules(this.world, (text) => this.say(`VIOLATION ${this.#names.plain(text)}`))
    this.world.watchers.push((event) => this.#see(event))
  }

  /** @returns what the commands of one block made happen */
  run(commands: readonly Command[]): readonly string[] {
    const lines: string[] = []
    for (const command of commands) {
      const run = runs[command.name]
      if (run === undefined) throw new Error(`no command is called ${command.name}: ${command.line}`)
      this.#lines = []
      run(this, command)
      this.world.runQuiet()
      lines.push(...collapse(this.#lines))
    }
    return lines.length === 0 ? ['ok'] : lines
  }

  /** What the history as a whole says. */
  finish(): readonly string[] {
    const { trace } = this.world
    return [...checkHistory(trace), ...checkOrders(trace)].map((text) => `VIOLATION ${text}`)
  }

  say(line: string): void {
    this.#lines.push(line)
  }

  /** Commands that changed nothing, by their lines. */
  idle(): readonly string[] {
    const pending = this.#pending.filter(({ isIdle }) => isIdle())
    return [...this.#idle, ...pending.map(({ line }) => line)]
  }

  expectSome({ line }: Command, count: number): void {
    if (count === 0) this.#idle.push(line)
  }

  /** What a command did to frames; each kind that it names has to be among them. */
  moved(command: Command, how: string, parcels: readonly Parcel[]): void {
    this.say(`${how} ${parcels.length}`)
    this.expectSome(command, parcels.length)
    if (parcels.length === 0) return
    for (const kind of list(command, 'kind')) {
      const some = parcels.filter((parcel) => parcel.kind === kind)
      if (some.length === 0) this.#idle.push(`${command.line} (${kind})`)
    }
  }

  /** Does something to servers, of which at least one is to be in a state where that changes anything. */
  change(command: Command, matters: (server: ServerNode) => boolean, run: (server: ServerNode) => void): void {
    let count = 0
    this.each(command, (server) => {
      if (matters(server)) count++
      run(server)
    })
    this.expectSome(command, count)
  }

  /** An engine outside of the cluster: made by its first command, then what happens to it. */
  engine(command: Command): void {
    const [id = '', ...what] = command.words
    const { world } = this
    if (!world.engines.has(id)) world.addEngine(id, command.options.has('servers') ? list(command, 'servers') : null)
    const engine = world.engine(id)
    if (what.includes('down')) engine.isDown = true
    if (what.includes('up')) engine.isDown = false
    if (what.includes('silent')) engine.isSilent = true
    if (what.includes('heard')) engine.isSilent = false
    if (what.includes('forget')) engine.forget()
    const number = (key: string) => Number(command.options.get(key) ?? 0)
    engine.loseCalls(number('lose-calls'))
    engine.loseAnswers(number('lose-answers'))
    const delay = number('delay')
    if (command.options.has('delay')) engine.delay = () => delay
  }

  /** Before `cluster`: how these servers flush. */
  sync(command: Command): void {
    for (const id of list(command, 'servers')) this.#syncs.set(id, parseSync(command.words[0] ?? ''))
  }

  cluster(servers: readonly string[], arbiters: readonly string[], founding: string | null): void {
    const both = [...new Set([...servers, ...arbiters])]
    this.world.bootstrap(both, arbiters, founding)
  }

  topic(command: Command): void {
    const name = command.words[0] ?? this.#topic
    this.#topic = name
    const mode = oneOf(modes, command, 'mode')
    const decider = deciderOf(command)
    const membersMin = command.options.get('min')
    const order = oneOf(orders, command, 'order')
    this.world.client('admin').create(name, {
      members: list(command, 'members'),
      ...(mode && { mode }),
      ...(decider && { decider }),
      ...(membersMin && { membersMin: Number(membersMin) }),
      ...(order && { order }),
    })
  }

  topicOf(command: Command): string {
    return command.options.get('topic') ?? this.#topic
  }

  client(command: Command) {
    return this.world.client(command.options.get('client') ?? 'admin')
  }

  add(command: Command): void {
    const value = need(command, 'value')
    const client = this.client(command)
    if (command.options.has('reach')) this.#limitReach(client.id, value, list(command, 'reach'))
    client.add(this.topicOf(command), value, command.words.includes('settle') ? 'settle' : 'republish')
  }

  giveUp(command: Command): void {
    const [client, value] = [this.client(command), need(command, 'value')]
    for (const one of this.world.operations)
      if (one.kind === 'add' && one.client === client.id && one.label === value) client.giveUp(one)
  }

  subscribe(command: Command): void {
    const from = command.options.get('from') === 'new' ? 'new' : 'start'
    const order = oneOf(orders, command, 'order') ?? null
    const durability = command.words.includes('early') ? 'early' : 'durable'
    const topics = list(command, 'topics')
    if (topics.length > 0) this.client(command).together(topics, need(command, 'name'), from)
    else this.client(command).subscribe(this.topicOf(command), need(command, 'name'), from, order, durability)
  }

  outcome(command: Command): void {
    const value = need(command, 'value')
    const epoch = command.options.get('epoch')
    const id = this.#names.idsOf(value).find((one) => epoch === undefined || one.epoch === Number(epoch))
    if (id === undefined) throw new Error(`${value} was never sent`)
    this.client(command).outcome(this.topicOf(command), id)
  }

  /** Asks one server for everything of an epoch, without saying where to end. */
  pull(command: Command): void {
    const epoch = Number(need(command, 'epoch')) as Epoch
    const [topic, since] = [topicName(this.topicOf(command)), emptySet]
    const message: Message = { kind: 'pull', topic, epoch, since, bytesMax: 1_000_000, resume: 0 }
    this.client(command).raw(list(command, 'servers'), message)
  }

  reconfigure(command: Command): void {
    const topic = this.topicOf(command)
    const mode: Mode | undefined = oneOf(modes, command, 'mode')
    const decider = deciderOf(command)
    const order = oneOf(orders, command, 'order')
    const by = list(command, 'by')
    if (command.options.has('reports')) {
      const to = [...this.world.servers.keys()].filter((id) => !list(command, 'reports').includes(id))
      this.world.network.addRule('drop', { kinds: ['wedge'], to })
    }
    const epoch = command.options.get('epoch')
    this.client(command).reconfigure(topic, {
      by,
      changeId: need(command, 'id'),
      epoch: epoch === undefined ? this.#newestEpoch(topic) : epoch === 'any' ? 0 : Number(epoch),
      members: list(command, 'members'),
      ...(mode && { mode }),
      ...(decider && { decider }),
      ...(order && { order }),
      ...(command.options.has('size') && { size: Number(command.options.get('size')) }),
      ...(command.options.has('min') && { membersMin: Number(command.options.get('min')) }),
    })
  }

  rule(verdict: Verdict, command: Command): void {
    const count = command.options.get('count')
    const rule = this.world.network.addRule(
      verdict,
      selection(command),
      count === undefined ? undefined : Number(count),
    )
    this.#watchRule(command.line, rule)
  }

  /** A rule without a kind has to meet some frame, one with kinds a frame of each. */
  #watchRule(line: string, { selection: { kinds }, hits }: Rule): void {
    if (kinds === undefined) this.#pending.push({ line, isIdle: () => hits.size === 0 })
    for (const kind of kinds ?? [])
      this.#pending.push({ line: `${line} (${kind})`, isIdle: () => ![...hits].some((hit) => hit === kind) })
  }

  /** Either some servers from everybody, or everything from some to some others. */
  cut(command: Command): void {
    const everybody = [...this.world.servers.keys(), ...this.world.clients.keys()]
    const alone = list(command, 'servers')
    for (const one of alone) {
      for (const other of everybody) {
        if (one === other) continue
        this.world.network.cut(one, other)
        this.world.network.cut(other, one)
      }
    }
    for (const one of list(command, 'from')) for (const other of list(command, 'to')) this.world.network.cut(one, other)
  }

  crash(command: Command): void {
    const moment = command.options.has('before') ? 'before' : 'after'
    const { to, epoch } = selection(command)
    const selected = { kinds: list(command, moment), ...(to && { to }), ...(epoch !== undefined && { epoch }) }
    const count = Number(command.options.get('count') ?? 1)
    this.#pending.push({
      line: command.line,
      isIdle: this.world.crashAt(need(command, 'server'), moment, selected, count),
    })
  }

  watch(kinds: readonly string[]): void {
    for (const kind of kinds)
      if (!messageKinds.some((known) => known === kind)) throw new Error(`no message is ${kind}`)
    this.#watched = kinds
  }

  /** Lets time pass until every operation that can end has ended. */
  settle(max: number): void {
    const waiting = () =>
      this.world.operations.filter(({ over, kind, client }) => {
        return !over && kind !== 'subscribe' && kind !== 'follow' && this.world.clients.has(client)
      })
    let ticks = 0
    this.world.runQuiet()
    while (waiting().length > 0 && ticks < max) {
      this.world.tick()
      ticks++
    }
    for (const operation of waiting()) this.say(`${nameOf(operation)}: still waiting`)
  }

  each(command: Command, run: (server: ServerNode) => void): void {
    const ids = command.words.length > 0 ? command.words : list(command, 'servers')
    for (const id of ids) run(this.world.server(id))
  }

  state(command: Command): void {
    const ids = command.words.length > 0 ? command.words : list(command, 'servers')
    for (const id of ids) this.say(`${id}: ${this.#stateOf(id, this.topicOf(command))}`)
  }

  #stateOf(id: string, topic: string): string {
    const { machine } = this.world.server(id)
    if (machine === null) return 'dead'
    const replica = machine.topics.find((one) => one.state.topic === topic)
    if (replica === undefined) return 'nothing'
    const { state, phase } = replica
    const { opened } = state
    const staged = this.#staged(state)
    const rest = staged === '' ? '' : `, staged ${staged}`
    if (opened === null) return `absent${rest}`
    const { epoch } = opened.configuration
    const parts = [`epoch ${epoch} ${phase}`]
    const decision = state.decisionOf(epoch)
    if (decision !== undefined) parts.push(`by ${this.#names.change(decision.changeId)}`)
    else if (opened.wedgedFor !== null) parts.push(`for ${opened.wedgedFor.changeId}`)
    parts.push(this.#names.set(epoch, opened.holdings.snapshot()))
    if (state.readable(epoch) === null) parts.push('released')
    const before = this.#before(state, epoch)
    if (before.length > 0) parts.push(`after ${braces(before)}`)
    const { accepted, promised } = opened.acceptor
    if (promised !== null) parts.push(`promised ${this.#names.stake(promised)}`)
    if (accepted !== null) parts.push(`accepted ${accepted.decision.changeId} at ${this.#names.stake(accepted.stake)}`)
    return parts.join(' ') + rest
  }

  /** Messages of the closed epochs that are readable there. */
  #before(state: NonNullable<ServerNode['machine']>['topics'][number]['state'], epoch: Epoch): string[] {
    const values: string[] = []
    for (let past = 1; past < epoch; past++) {
      const closed = past as Epoch
      if (state.readable(closed) === null) continue
      values.push(...this.#names.values(closed, state.decisionOf(closed)?.closing ?? emptySet))
    }
    return values
  }

  #staged(state: NonNullable<ServerNode['machine']>['topics'][number]['state']): string {
    if (state.stagedCount === 0) return ''
    const last = state.newest?.epoch ?? 1
    const values: string[] = []
    for (let epoch = 1; epoch <= last; epoch++) {
      values.push(...this.#names.values(epoch as Epoch, state.staged(epoch as Epoch).snapshot()))
    }
    return braces(values)
  }

  #newestEpoch(topic: string): number {
    let newest = 0
    for (const { machine } of this.world.servers.values()) {
      const replica = machine?.topics.find((one) => one.state.topic === topic)
      newest = Math.max(newest, replica?.state.newest?.epoch ?? 0)
    }
    return newest
  }

  /** The Add of this value in the epoch in which it is first sent reaches these servers only, however often it is sent. */
  #limitReach(client: string, value: string, reach: readonly string[]): void {
    let id: string | null = null
    const isIt = ({ message }: Parcel): boolean => {
      if (message.kind !== 'batch') return false
      const one = messagesOf(message).find((given) => given.value === value)
      if (one === undefined) return false
      id ??= formatMessageId(one.id)
      return formatMessageId(one.id) === id
    }
    const to = [...this.world.servers.keys()].filter((server) => !reach.includes(server))
    this.world.network.addRule('drop', { from: [client], kinds: ['batch'], to, when: isIt })
  }

  #see(event: WorldEvent): void {
    switch (event.what) {
      case 'operation': {
        const line = this.#describe(event.operation, event.step)
        if (line !== null) this.say(line)
        return
      }
      case 'fatal':
        this.say(`server ${this.world.short(event.server)} stopped: ${this.#names.plain(String(event.error))}`)
        return
      case 'crash':
        this.say(`server ${this.world.short(event.server)} is gone`)
        return
      case 'deliver': {
        const { from, to, kind } = event.parcel
        if (this.#watched.includes(kind)) this.say(`${from} -> ${to} ${kind}${this.#detail(event.parcel)}`)
        return
      }
      default:
        return
    }
  }

  /** What is worth reading of a message that is watched. */
  #detail({ message }: Parcel): string {
    switch (message.kind) {
      case 'wedged': {
        const accepted = message.accepted === undefined ? '' : `, accepted ${message.accepted.changeId}`
        return ` ${this.#names.set(message.epoch, message.stored)}${accepted}`
      }
      case 'held':
      case 'report':
        return ` ${this.#names.set(message.epoch, message.stored)}`
      case 'batch':
        return ` ${braces(messagesOf(message).map(({ value }) => value))} of epoch ${message.epoch}`
      case 'refused':
        return `: ${message.refusal}`
      case 'moved':
        return `: ${this.#names.configuration(message.newest)}`
      case 'wedge':
      case 'accept':
      case 'start':
        return ` epoch ${message.epoch} at ${this.#names.stake(message.stake)}`
      default:
        return 'epoch' in message ? ` epoch ${message.epoch}` : ''
    }
  }

  #describe(operation: Operation, step: Step): string | null {
    const name = nameOf(operation)
    switch (step.kind) {
      case 'invoked':
        return null
      case 'added':
        return `${name}: ${step.status} in epoch ${step.id.epoch}`
      case 'got':
        return `${name}: ${braces(step.given.map(({ value }) => value))} in epoch ${step.epoch}`
      case 'delivered':
        return `${name}: ${this.#givenAs(step)}`
      case 'confirmed':
      case 'retracted':
        return `${name}: ${step.kind === 'confirmed' ? '+' : '-'}${this.#names.valueOf(step.id)}`
      case 'flushed':
        return `${name}: ${step.durableCount} durable, dropped ${braces(step.dropped.map((id) => this.#names.valueOf(id)))}`
      case 'position':
        return null
      case 'epoch':
        return `${name}: (${this.#names.decision(step.decision)})`
      case 'gap':
        return `${name}: (gap from epoch ${step.from} to ${step.to})`
      case 'notified':
        return `${name}: notified of epoch ${step.epoch}`
      case 'phase':
        if (step.detail?.startsWith('waits for') === true)
          return isNewDetail(operation, step.detail) ? `${name}: (${step.detail})` : null
        return isNews(operation, step.phase) ? `${name}: ${step.phase}` : null
      case 'changed':
        return `${name}: ${this.#changed(step.message)}`
      case 'outcome':
        return `${name}: ${step.outcome}`
      case 'located':
        return `${name}: ${this.#names.configuration(step.message.configuration)}, ends by ${withoutInstance(step.message.configuration.decider)}`
      case 'refused':
        return `${name}: refused, ${step.message.refusal}: ${this.#names.plain(step.message.detail)}`
      case 'failed':
        return `${name}: failed, ${step.code}`
    }
  }

  /** `3:value` at a place of the total order, `value?` early, `value!lost` where causes were dropped. */
  #givenAs(step: Extract<Step, { kind: 'delivered' }>): string {
    const place = step.position === undefined ? '' : `${step.position}:`
    const lost = (step.lost ?? []).map((id) => `!${this.#names.valueOf(id)}`).join('')
    return `${place}${step.given.value}${step.early === true ? '?' : ''}${lost}`
  }

  #changed(message: Extract<Step, { kind: 'changed' }>['message']): string {
    const { decision, superseded, enabled, final, retirable } = message
    if (superseded) return `superseded by ${decision.changeId}: ${this.#names.decision(decision)}`
    if (final) return `may stop ${braces(retirable.map((one) => this.world.short(one)))}`
    return enabled ? 'enabled' : `decided ${this.#names.decision(decision)}`
  }
}

/** Consecutive deliveries and phases of one operation become one line, and so does one message to or from several. */
function collapse(lines: readonly string[]): string[] {
  const joined: string[] = []
  for (const line of lines) {
    const message = /^(\S+) -> (\S+) (.*)$/.exec(line)
    if (message !== null) {
      const before = /^(\S+) -> (\S+) (.*)$/.exec(joined[joined.length - 1] ?? '')
      const [, from, to, what] = message
      if (before !== null && before[3] === what && before[1] === from) {
        joined[joined.length - 1] = `${from} -> ${before[2]},${to} ${what}`
      } else if (before !== null && before[3] === what && before[2] === to) {
        joined[joined.length - 1] = `${before[1]},${from} -> ${to} ${what}`
      } else joined.push(line)
      continue
    }
    const match = /^([^:]+: )([^ ,]+|\(.*\))$/.exec(line)
    const last = joined[joined.length - 1]
    if (match !== null && last?.startsWith(match[1] ?? '') === true && /^[^:]+: ([^ ,]+|\(.*\))( |$)/.test(last)) {
      joined[joined.length - 1] = `${last} ${match[2]}`
    } else joined.push(line)
  }
  return joined
}

/** Whoever asks again hears the phase again. */
function isNews({ steps }: Operation, phase: string): boolean {
  const before = steps.slice(0, -1).findLast((step) => step.kind === 'phase')
  return phase !== 'enabled' && (before?.kind !== 'phase' || before.phase !== phase)
}

function isNewDetail({ steps }: Operation, detail: string): boolean {
  const before = steps.slice(0, -1).findLast((step) => step.kind === 'phase')
  return before?.kind !== 'phase' || before.detail !== detail
}

function nameOf({ kind, client, label }: Operation): string {
  switch (kind) {
    case 'add':
      return `${client} add ${label}`
    case 'get':
      return `${client} get`
    case 'outcome':
      return `${client} outcome`
    case 'flush':
      return `${client} flush`
    case 'follow':
      return client
    default:
      return label
  }
}

function selection(command: Command): Selection {
  const epoch = command.options.get('epoch')
  const kinds = list(command, 'kind')
  for (const kind of kinds) if (!messageKinds.some((known) => known === kind)) throw new Error(`no message is ${kind}`)
  return {
    ...(command.options.has('kind') && { kinds }),
    ...(command.options.has('from') && { from: list(command, 'from') }),
    ...(command.options.has('to') && { to: list(command, 'to') }),
    ...(epoch !== undefined && { epoch: Number(epoch) }),
  }
}

function list(command: Command, key: string): string[] {
  const text = command.options.get(key)
  return text === undefined || text === '' ? [] : text.split(',')
}

function need(command: Command, key: string): string {
  const value = command.options.get(key)
  if (value === undefined) throw new Error(`${command.name} needs ${key}=: ${command.line}`)
  return value
}

function deciderOf(command: Command): Decider | undefined {
  const text = command.options.get('decider')
  return text === undefined ? undefined : parseDecider(text)
}

function oneOf<T extends string>(known: readonly T[], command: Command, key: string): T | undefined {
  const text = command.options.get(key)
  if (text === undefined) return undefined
  const found = known.find((one) => one === text)
  if (found === undefined) throw new Error(`${key}=${text} is none of ${known.join(', ')}`)
  return found
}
