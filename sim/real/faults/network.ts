/** Servers that do not hear each other, or hear late, twice, in part. */
import { Network, networkMissing } from '../network.ts'
import { hasCommand } from '../platform.ts'
import { FrameProxy, noTrouble } from '../proxy.ts'
import { between, Rig } from '../rig.ts'
import type { FaultClass, FaultContext } from './fault-class.ts'

const ids = ['a', 'b', 'c'] as const
const networks = new WeakMap<Rig, Network>()
const proxies = new WeakMap<Rig, ReadonlyMap<string, FrameProxy>>()
const firstOuterPort = 31_000
const firstInnerPort = 31_500
let ports = 0

type Cut = (network: Network, rig: Rig) => string

const cuts: Readonly<Record<string, Cut>> = {
  'one server from everybody': (network, rig) => {
    const alone = rig.pick(ids)
    for (const other of [...ids.filter((id) => id !== alone), 'outside']) {
      network.cut(alone, other)
      network.cut(other, alone)
    }
    return alone
  },
  'one server from the others, clients reach all': (network, rig) => {
    const alone = rig.pick(ids)
    for (const other of ids.filter((id) => id !== alone)) {
      network.cut(alone, other)
      network.cut(other, alone)
    }
    return alone
  },
  'two from each other, both reach the third': (network, rig) => {
    const [one, other] = rig.pick([['a', 'b'] as const, ['b', 'c'] as const, ['a', 'c'] as const])
    network.cut(one, other)
    network.cut(other, one)
    return `${one}-${other}`
  },
  'requests arrive, answers do not': (network, rig) => {
    const mute = rig.pick(ids)
    for (const other of [...ids.filter((id) => id !== mute), 'outside']) network.cut(mute, other)
    return mute
  },
  'answers leave, requests do not arrive': (network, rig) => {
    const deaf = rig.pick(ids)
    for (const other of [...ids.filter((id) => id !== deaf), 'outside']) network.cut(other, deaf)
    return deaf
  },
  'a third of all packets lost at one server': (network, rig) => {
    const id = rig.pick(ids)
    network.lose(id, 0.33)
    return id
  },
  'one server behind 64 kbit/s': (network, rig) => {
    const id = rig.pick(ids)
    if (hasCommand('tc')) network.slow(id, 64)
    return id
  },
}

export const partition: FaultClass = {
  name: 'partition',
  family: 'network',
  about: 'namespaces and packet filters: full, partial and one-way cuts, loss, a slow link',
  usual: 7,
  perCluster: 30,
  missing: networkMissing,
  async prepare({ folder, random }: FaultContext) {
    const network = new Network(ids)
    const endpointOf = (id: string) => ({ listen: network.addressOf(id), wrapper: network.wrapperOf(id) })
    try {
      const rig = await Rig.create({ folder, random, ids, endpointOf })
      networks.set(rig, network)
      return { rig, release: () => network.remove() }
    } catch (error) {
      network.remove()
      throw error
    }
  },
  async once(rig, { random, reached }) {
    const network = networks.get(rig)
    if (network === undefined) throw new Error('this rig has no network')
    await between(random, 1, 200)
    const what = rig.pick(Object.keys(cuts))
    const where = cuts[what]?.(network, rig)
    rig.workload.fault(`${what}: ${where}`)
    reached(what)
    if (random.below(3) === 0) rig.roll()
    await between(random, 300, random.below(3) === 0 ? 5_000 : 1_500)
    network.heal()
    rig.workload.fault('healed')
    await rig.serves()
    return 1
  },
}

export const proxied: FaultClass = {
  name: 'slow-link',
  family: 'network',
  about: 'a proxy before each server: frames late, twice, lost, cut off in the middle, connections broken',
  usual: 4,
  perCluster: 30,
  missing: () => null,
  async prepare({ folder, random }) {
    const made = new Map<string, FrameProxy>()
    const release = () => {
      for (const proxy of made.values()) proxy.close()
    }
    const turn = ports++ * ids.length
    const outer = (id: string) => firstOuterPort + turn + ids.indexOf(id as 'a')
    const inner = (id: string) => firstInnerPort + turn + ids.indexOf(id as 'a')
    for (const id of ids) {
      made.set(id, await FrameProxy.listen(random, outer(id), { host: '127.0.0.1', port: inner(id) }))
    }
    try {
      const endpointOf = (id: string) => ({ listen: `127.0.0.1:${inner(id)}`, advertise: `127.0.0.1:${outer(id)}` })
      const rig = await Rig.create({ folder, random, ids, endpointOf })
      proxies.set(rig, made)
      return { rig, release }
    } catch (error) {
      release()
      throw error
    }
  },
  async once(rig, { random, reached }) {
    const own = proxies.get(rig)
    if (own === undefined) throw new Error('this rig has no proxies')
    const chosen = random.below(3) === 0 ? [...own.values()] : [own.get(rig.pick(ids)) as FrameProxy]
    const share = (most: number) => (random.below(2) === 0 ? random.below(most) : 0)
    const trouble = { delayMs: 1 + random.below(40), twice: share(30), lost: share(20), broken: share(3), cut: false }
    rig.workload.fault(`proxies: ${JSON.stringify(trouble)}`)
    const before = [...own.values()].map(({ counts }) => ({ ...counts }))
    for (const proxy of chosen) proxy.trouble = trouble
    if (random.below(3) === 0) rig.roll()
    await between(random, 500, 2_500)
    for (const proxy of own.values()) proxy.trouble = noTrouble
    if (random.below(2) === 0) for (const proxy of chosen) proxy.breakAll()
    for (const [at, { counts }] of [...own.values()].entries()) {
      reached('frames twice', counts.twice - (before[at]?.twice ?? 0))
      reached('frames lost', counts.lost - (before[at]?.lost ?? 0))
      reached('connections broken in a frame', counts.broken - (before[at]?.broken ?? 0))
    }
    await rig.serves()
    return 1
  },
}
