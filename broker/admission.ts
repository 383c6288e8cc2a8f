/** The one door of a server: whether a frame comes from a sender that may send its message, as the message table says. */
import { type Configuration, isMember, type Member } from '../proto/configuration.ts'
import type { Address, Epoch, ServerName, TopicName } from '../proto/ids.ts'
import type { Frame } from '../proto/wire/codec.ts'
import type { Sender } from '../proto/wire/entry.ts'
import { isTopical, type Message, table } from '../proto/wire/messages.ts'
import type { Directory } from './membership/directory.ts'

/** What admission needs of its owner. */
export interface AdmissionPorts {
  arbiters(): readonly Member[]
  /** The configuration of an epoch, where this server knows it. */
  configurationOf(topic: TopicName, epoch: Epoch): Configuration | undefined
}

export class Admission {
  readonly #directory: Directory
  readonly #ports: AdmissionPorts

  constructor(directory: Directory, ports: AdmissionPorts) {
    this.#directory = directory
    this.#ports = ports
  }

  permits(from: Address, { envelope, message }: Frame): boolean {
    const entry = table[message.kind]
    const sender = envelope.token === 0 ? entry.from : (entry.answer ?? entry.from)
    if (sender === 'client' || sender === 'anyone') return true
    return this.#isSender(sender, from, envelope.from as ServerName, message)
  }

  #isSender(sender: Exclude<Sender, 'client' | 'anyone'>, from: Address, name: ServerName, message: Message): boolean {
    if (sender === 'newcomer')
      return 'member' in message && message.member.address === from && message.member.name === name
    if (!this.#directory.isServer(name, from)) return false
    switch (sender) {
      case 'server':
        return true
      case 'arbiter':
        return this.#ports.arbiters().some((arbiter) => arbiter.name === name)
      case 'coordinator':
        return 'stake' in message && message.stake.coordinator === name
      case 'member':
        return this.#isMember(name, message)
    }
  }

  #isMember(name: ServerName, message: Message): boolean {
    if (!isTopical(message)) return false
    const configuration = this.#ports.configurationOf(message.topic, message.epoch)
    return configuration === undefined || isMember(configuration, name)
  }
}
