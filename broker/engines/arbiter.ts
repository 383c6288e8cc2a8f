/**
 * An arbiter: write-once registers, one for each epoch of each topic, and the newest decided configuration of every topic.
 * Three or five of them are the built-in decision engine.
 *
 * Source: the "consensus engine" of Figures 4 and 5, opened as the Synod of section 5.3: the same acceptor as at the members
 * of a topic. A register is never freed; at most it is replaced by the mark that its epoch and all before are decided.
 */
import type { Configuration } from '../../proto/configuration.ts'
import type { Address, Epoch, TopicName } from '../../proto/ids.ts'
import { type Effect, send } from '../../proto/machine/contract.ts'
import { sameStake } from '../../proto/stake.ts'
import { messageBytes } from '../../proto/wire/codec.ts'
import type { MessageOf, MessageTo } from '../../proto/wire/messages.ts'
import type { ArbiterRecord } from '../../proto/wire/records.ts'
import { Acceptor } from '../epoch/acceptor.ts'

const topicsPerAnswer = 1_000

export class Arbiter {
  readonly #registers = new Map<TopicName, Map<Epoch, Acceptor>>()
  readonly #newest = new Map<TopicName, Configuration>()

  take(from: Address, token: number, message: MessageTo<'arbiter'>, out: Effect[]): void {
    switch (message.kind) {
      case 'arbiter-prepare':
        return this.#onPrepare(from, token, message, out)
      case 'arbiter-accept':
        return this.#onAccept(from, token, message, out)
      case 'note':
        return this.#onNote(from, token, message, out)
      case 'lookup': {
        const { topic, epoch } = message
        const configuration = this.#newest.get(topic)
        send(out, from, { kind: 'found', topic, epoch, ...(configuration && { configuration }) }, token)
        return
      }
      case 'list-noted':
        return this.#onList(from, token, message, out)
    }
  }

  /** A record that survived a restart. */
  recover(message: ArbiterRecord): void {
    if (message.kind === 'arbiter-prepare') this.#register(message.topic, message.epoch).promise(message.stake)
    if (message.kind === 'arbiter-accept') {
      this.#register(message.topic, message.epoch).accept(message.stake, message.decision)
    }
    if (message.kind === 'note') this.#keepNewest(message.configuration)
  }

  #onPrepare(from: Address, token: number, message: MessageOf<'arbiter-prepare'>, out: Effect[]): void {
    const { topic, epoch, stake } = message
    if (this.#isClosed(from, token, message, out)) return
    const register = this.#register(topic, epoch)
    if (!register.allows(stake)) {
      send(out, from, { kind: 'arbiter-outranked', topic, epoch, promised: register.promised ?? stake }, token)
      return
    }
    if (register.promised === null || !sameStake(register.promised, stake)) this.#record(message, out)
    const { accepted } = register
    const proposal = accepted === null ? {} : { acceptedStake: accepted.stake, accepted: accepted.decision }
    send(out, from, { kind: 'arbiter-promised', topic, epoch, stake, ...proposal }, token)
  }

  #onAccept(from: Address, token: number, message: MessageOf<'arbiter-accept'>, out: Effect[]): void {
    const { topic, epoch, stake } = message
    if (this.#isClosed(from, token, message, out)) return
    const register = this.#register(topic, epoch)
    if (!register.allows(stake)) {
      send(out, from, { kind: 'arbiter-outranked', topic, epoch, promised: register.promised ?? stake }, token)
      return
    }
    this.#record(message, out)
    send(out, from, { kind: 'arbiter-accepted', topic, epoch, stake }, token)
  }

  #onNote(from: Address, token: number, message: MessageOf<'note'>, out: Effect[]): void {
    const { topic, epoch, configuration } = message
    const known = this.#newest.get(topic)
    if (known === undefined || known.epoch < configuration.epoch) this.#record(message, out)
    send(out, from, { kind: 'noted', topic, epoch }, token)
  }

  #onList(from: Address, token: number, { after, prefix = '' }: MessageOf<'list-noted'>, out: Effect[]): void {
    const names = [...this.#newest.keys()].filter((name) => name > after && name.startsWith(prefix)).sort()
    const page = names.slice(0, topicsPerAnswer)
    const configurations = page.flatMap((name) => this.#newest.get(name) ?? [])
    send(out, from, { kind: 'noted-topics', configurations, more: names.length > page.length }, token)
  }

  #isClosed(
    from: Address,
    token: number,
    message: Pick<MessageOf<'lookup'>, 'topic' | 'epoch'>,
    out: Effect[],
  ): boolean {
    const { topic, epoch } = message
    const newest = this.#newest.get(topic)
    if (newest === undefined || newest.epoch <= epoch) return false
    send(out, from, { kind: 'arbiter-closed', topic, epoch, newest }, token)
    return true
  }

  #record(message: ArbiterRecord, out: Effect[]): void {
    out.push({ kind: 'persist', record: 'protocol', bytes: messageBytes(message) })
    this.recover(message)
  }

  #keepNewest(configuration: Configuration): void {
    const known = this.#newest.get(configuration.topic)
    if (known !== undefined && known.epoch >= configuration.epoch) return
    this.#newest.set(configuration.topic, configuration)
    const registers = this.#registers.get(configuration.topic)
    for (const epoch of registers?.keys() ?? []) if (epoch < configuration.epoch) registers?.delete(epoch)
  }

  #register(topic: TopicName, epoch: Epoch): Acceptor {
    let registers = this.#registers.get(topic)
    if (registers === undefined) {
      registers = new Map()
      this.#registers.set(topic, registers)
    }
    let register = registers.get(epoch)
    if (register === undefined) {
      register = new Acceptor()
      registers.set(epoch, register)
    }
    return register
  }
}
