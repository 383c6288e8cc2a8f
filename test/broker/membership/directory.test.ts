// Goal: a server that was forgotten stays forgotten, whoever was away meanwhile, until it says itself that it is there. Method:
// the directories of several servers, whose lists are handed over by hand.
import { beforeEach, describe, expect, it } from 'vitest'
import { Directory } from '../../../broker/membership/directory.ts'
import type { ServerTimer } from '../../../broker/timers.ts'
import type { Member } from '../../../proto/configuration.ts'
import { address, parseServerName, type ServerName, serverIdOf } from '../../../proto/ids.ts'
import type { Effect } from '../../../proto/machine/contract.ts'
import { Timers } from '../../../proto/machine/timers.ts'
import { decodeRecord } from '../../../proto/wire/codec.ts'
import type { Message } from '../../../proto/wire/messages.ts'
import type { LogRecordOf } from '../../../proto/wire/records.ts'

const memberOf = (id: string): Member => ({
  name: parseServerName(`${id}@00000000-0000-4000-8000-00000000000${id.charCodeAt(0) - 97}`),
  address: address(`${id}:1`),
})
const [a, b, c, d] = ['a', 'b', 'c', 'd'].map(memberOf) as [Member, Member, Member, Member]
const suspectTicks = 100
const heartbeatTicks = 20

/** A directory with everything that it put into its log. */
class Peer {
  readonly self: Member
  readonly records: LogRecordOf<'lives'>[] = []
  /** Servers that came to count as alive (+) or dead (-), in that order. */
  readonly changes: string[] = []
  timers = new Timers<ServerTimer>()
  directory: Directory

  constructor(self: Member) {
    this.self = self
    this.directory = this.#newDirectory()
  }

  get ids(): string[] {
    return this.directory.servers().map(({ name }) => serverIdOf(name))
  }

  hears(member: Member): void {
    this.#run((out) => this.directory.heard(member, out))
  }

  forgets(name: ServerName): void {
    this.#run((out) => this.directory.forget(name, out))
  }

  waits(): void {
    this.passes(suspectTicks)
  }

  /** @returns what it says meanwhile */
  passes(ticks: number): Message[] {
    return this.#run((out) => {
      for (let left = ticks; left > 0; left--) {
        this.timers.pass(this.timers.now + 1)
        this.timers.ring(out)
      }
    })
  }

  breaks(other: Member): Message[] {
    return this.#run((out) => this.directory.peerDown(other.address, out))
  }

  restarts(): void {
    this.timers = new Timers()
    this.directory = this.#newDirectory()
    for (const record of this.records) this.directory.recoverLives(record)
  }

  /** What the answer to a heartbeat of `other` says, if their lists differ. */
  teaches(other: Peer): boolean {
    const heartbeats = other.passes(heartbeatTicks)
    const heartbeat = heartbeats.find((one) => one.kind === 'alive')
    if (heartbeat?.kind !== 'alive') return false
    const answers = this.#run((out) => this.directory.onAlive(other.self.address, heartbeat, out))
    const lists = answers.filter((one) => one.kind === 'directory')
    for (const list of lists) {
      other.#run((out) => {
        other.directory.learnLives(list.lives, out)
        other.directory.told(list.servers, out)
      })
    }
    return lists.length > 0
  }

  #newDirectory(): Directory {
    const tellAliveChanged = (name: ServerName, isAlive: boolean) => {
      expect(this.directory.isAlive(name)).toBe(isAlive)
      this.changes.push(`${isAlive ? '+' : '-'}${serverIdOf(name)}`)
    }
    return new Directory(this.self, [], this.timers, 'always', { tellAliveChanged })
  }

  #run(step: (out: Effect[]) => void): Message[] {
    const out: Effect[] = []
    step(out)
    for (const effect of out) {
      if (effect.kind !== 'persist') continue
      const record = decodeRecord(effect.bytes)
      if (record.kind === 'lives') this.records.push(record)
    }
    return out.flatMap((effect) => (effect.kind === 'send' ? [effect.message] : []))
  }
}

describe('directory', () => {
  let peers: Peer[]

  beforeEach(() => {
    peers = [a, b, c].map((self) => new Peer(self))
    for (const peer of peers) for (const member of [a, b, c, d]) peer.hears(member)
  })

  it('forgets a silent server everywhere, and only that', () => {
    const [first, second] = peers as [Peer, Peer, Peer]
    first.forgets(d.name)
    expect(first.ids).toContain('d')
    for (const peer of peers) peer.waits()
    for (const member of [b, c]) first.hears(member)
    first.forgets(d.name)
    expect(first.ids).toEqual(['a', 'b', 'c'])
    second.teaches(first)
    expect(first.ids).toEqual(['a', 'b', 'c'])
    first.teaches(second)
    expect(second.ids).toEqual(['a', 'b', 'c'])
    expect(second.directory.forgotten(serverIdOf(d.name))).toBe(d.name)
  })

  it('is not taught a forgotten server again, also after a restart', () => {
    const [first, , away] = peers as [Peer, Peer, Peer]
    for (const peer of peers) peer.waits()
    first.forgets(d.name)
    first.restarts()
    for (const member of [b, c]) first.hears(member)
    away.teaches(first)
    expect(first.ids).not.toContain('d')
    first.teaches(away)
    expect(away.ids).not.toContain('d')
    expect(first.teaches(away) || away.teaches(first)).toBe(false)
  })

  it('knows a server again that comes back, and so does whoever was away', () => {
    const [first, second, away] = peers as [Peer, Peer, Peer]
    for (const peer of peers) peer.waits()
    first.forgets(d.name)
    first.teaches(away)
    first.hears(d)
    expect(first.ids).toContain('d')
    // A server that knows nothing yet of the return does not make others forget it again.
    away.teaches(first)
    expect(first.ids).toContain('d')
    first.teaches(away)
    first.teaches(second)
    for (const peer of peers) expect(peer.ids).toEqual(['a', 'b', 'c', 'd'])
  })

  it('does not forget a server that it hears, whatever others say', () => {
    const [first, second] = peers as [Peer, Peer, Peer]
    first.waits()
    first.forgets(d.name)
    first.teaches(second)
    expect(second.ids).toContain('d')
    second.teaches(first)
    expect(first.ids).toContain('d')
    expect(first.records.at(-1)).toEqual({ kind: 'lives', servers: [{ name: d.name, count: 2 }] })
  })

  it('tells once of each server that comes to count as alive or dead, and by whatever that is', () => {
    const [first] = peers as [Peer, Peer, Peer]
    expect(first.changes.splice(0)).toEqual(['+b', '+c', '+d'])
    first.passes(suspectTicks - 1)
    for (const member of [c, d]) first.hears(member)
    expect(first.changes.splice(0)).toEqual([])
    first.passes(1)
    expect(first.changes.splice(0)).toEqual(['-b'])
    first.breaks(c)
    first.breaks(c)
    expect(first.changes.splice(0)).toEqual(['-c'])
    first.hears(c)
    // Another storage under the same id is another server.
    const other = { ...d, name: parseServerName('d@00000000-0000-4000-8000-000000000009') }
    first.hears(other)
    first.waits()
    expect(first.changes).toEqual(['+c', '-d', '+d', '-c', '-d'])
    expect([first.directory.isCutOff, first.directory.silent().length]).toEqual([true, 3])
  })

  it('says every so often that it is there, and nothing where nobody else is known', () => {
    const alone = new Peer(a)
    expect(alone.passes(1_000)).toEqual([])
    expect(alone.timers.nextDue).toBe(null)
    alone.hears(b)
    expect(alone.passes(5 * heartbeatTicks).map(({ kind }) => kind)).toEqual(Array(5).fill('alive'))
    alone.hears(b)
    expect(alone.timers.list().map(({ name }) => name)).toEqual(['heartbeat', 'silence'])
  })

  it('is settled after a while, and then calls back whoever waits for that', () => {
    const [first] = peers as [Peer, Peer, Peer]
    let called = 0
    first.directory.whenSettled(() => called++)
    first.passes(49)
    expect([first.directory.settled, called]).toEqual([false, 0])
    first.passes(1)
    expect([first.directory.settled, called]).toEqual([true, 1])
  })
})
