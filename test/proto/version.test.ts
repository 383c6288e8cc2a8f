// Goal: processes whose versions of the protocol do not overlap refuse each other by name, and a cluster keeps the version that it
// agreed on. Method: ranges by hand, a hello of another build, and the machine of a server with the record of a newer cluster.
import { describe, expect, it } from 'vitest'
import { ServerMachine } from '../../broker/server-machine.ts'
import { address, clusterId, serverId, serverName } from '../../proto/ids.ts'
import type { Effect, Input } from '../../proto/machine/contract.ts'
import { decodeHello, encodeHello } from '../../proto/transport/hello.ts'
import { agreedVersion, protocolVersions } from '../../proto/version.ts'
import { decodeFrame, decodeRecord, encodeEnvelope, encodeMessage, messageBytes } from '../../proto/wire/codec.ts'
import type { ClusterRecord, Message } from '../../proto/wire/messages.ts'
import { seededRandom } from '../../sim/seeded-random.ts'

const byName = (code: string) => expect.objectContaining({ code })
const self = { name: serverName(serverId('a'), '00000000-0000-4000-8000-000000000001'), address: address('a:1') }
const id = clusterId('00000000-0000-4000-8000-0000000000c1')
const newer: ClusterRecord = { id, arbiters: [self], version: 7 }

function machine(seeds: readonly string[] = []): ServerMachine {
  const clock = { nowMs: () => 0 }
  const defaults = { autoCreate: true, template: { members: [] } }
  return new ServerMachine({ self, seeds: seeds.map(address), random: seededRandom(1), clock, defaults })
}

function frame(message: Message): Input {
  const envelope = encodeEnvelope({ cluster: '', from: 'someone', token: 3 })
  return {
    kind: 'frame',
    from: address('b:1'),
    frame: decodeFrame(Buffer.concat([envelope, ...encodeMessage(message)])),
  }
}

describe('versions of the protocol', () => {
  it('are agreed on as the newest that all speak', () => {
    expect(agreedVersion([protocolVersions])).toBe(protocolVersions.max)
    expect(
      agreedVersion([
        { min: 1, max: 4 },
        { min: 2, max: 3 },
        { min: 3, max: 9 },
      ]),
    ).toBe(3)
    expect(() =>
      agreedVersion([
        { min: 1, max: 2 },
        { min: 3, max: 4 },
      ]),
    ).toThrowError(byName('EC_PROTOCOL_VERSION'))
  })

  it('are said first of all on a connection', () => {
    const hello = (min: number, max: number) => encodeHello(address('10.0.0.1:7400'), { min, max }).subarray(4)
    for (const [min, max] of [
      [1, 1],
      [1, 9],
      [2, 3],
    ] as const)
      expect(decodeHello(hello(min, max), { min: 1, max: 2 })).toBe('10.0.0.1:7400')
    for (const [min, max] of [
      [3, 9],
      [0, 0],
      [9, 1],
    ] as const)
      expect(() => decodeHello(hello(min, max), { min: 1, max: 2 })).toThrowError(byName('EC_PROTOCOL_VERSION'))
  })

  it('were the first one alone where a hello says none', () => {
    const old = Buffer.concat([Buffer.from('epoc'), Buffer.of(1), Buffer.from('10.0.0.1:7400')])
    expect(decodeHello(old)).toBe('10.0.0.1:7400')
    expect(() => decodeHello(old, { min: 2, max: 2 })).toThrowError(byName('EC_PROTOCOL_VERSION'))
  })
})

describe('a server', () => {
  it('stops by name on the log of a cluster that speaks what it does not', () => {
    const bytes = messageBytes({ kind: 'join', cluster: newer })
    expect(() => machine().recover('protocol', bytes, 0)).toThrowError(byName('EC_PROTOCOL_VERSION'))
  })

  it('is not made part of one, and says why', () => {
    const server = machine()
    const out: Effect[] = []
    server.step(frame({ kind: 'join', cluster: newer }), out)
    expect(server.cluster).toBe('')
    expect(out).toContainEqual(
      expect.objectContaining({ message: expect.objectContaining({ kind: 'declined', refusal: 'other-version' }) }),
    )
    expect(out.filter((effect) => effect.kind === 'persist')).toEqual([])
  })

  it('stops by name where those whom it was sent to join speak what it does not', () => {
    const server = machine(['b:1'])
    const b = { name: serverName(serverId('b'), '00000000-0000-4000-8000-000000000002'), address: address('b:1') }
    const told = frame({ kind: 'identity', member: b, cluster: newer })
    expect(() => server.step(told, [])).toThrowError(byName('EC_PROTOCOL_VERSION'))
  })

  it('says which records a newer version wrote', () => {
    const unknown = Buffer.of(1 << 3, 120)
    expect(() => decodeRecord(unknown)).toThrowError(byName('EC_LOG_FORMAT'))
  })
})
