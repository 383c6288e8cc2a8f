/** Power cuts: every server has a disk of its own, an image that knows nothing of the page cache. */
import { join } from 'node:path'
import { DiskImage, PowerSwitch } from '../disk-image.ts'
import { compilerMissing, imagesMissing } from '../platform.ts'
import { between, Rig } from '../rig.ts'
import type { ServerProcess } from '../server-process.ts'
import { ordersFile, Shim } from '../shims.ts'
import type { FaultClass, FaultContext } from './fault-class.ts'

const ids = ['a', 'b', 'c'] as const
const imageMegabytes = 192

interface PoweredRig {
  readonly rig: Rig
  readonly images: ReadonlyMap<string, DiskImage>
  readonly power: PowerSwitch
}

const powered = new WeakMap<Rig, PoweredRig>()

async function prepare(context: FaultContext, isLying: boolean): Promise<{ rig: Rig; release(): void }> {
  const { folder, random } = context
  const power = new PowerSwitch(folder)
  const images = new Map(ids.map((id) => [id as string, new DiskImage(folder, id, imageMegabytes)]))
  const release = () => {
    for (const image of images.values()) image.remove()
  }
  const shim = isLying ? new Shim(folder) : null
  if (shim !== null) for (const id of ids) shim.order(ordersFile(folder, id), 'lie')
  try {
    const dataOf = (id: string) => join(images.get(id)?.path ?? '', 'data')
    const environmentOf = (id: string) => shim?.environment(ordersFile(folder, id)) ?? {}
    const rig = await Rig.create({ folder, random, ids, dataOf, environmentOf })
    powered.set(rig, { rig, images, power })
    return { rig, release }
  } catch (error) {
    release()
    throw error
  }
}

/** Everything stops at once; what had not reached the disks is gone; the machines come back. */
async function cut(rig: Rig, servers: readonly ServerProcess[], context: FaultContext): Promise<void> {
  const parts = powered.get(rig)
  if (parts === undefined) throw new Error('this rig has no power switch')
  const images = servers.map(({ id }) => parts.images.get(id) as DiskImage)
  rig.workload.fault(`power cut of ${servers.map(({ id }) => id).join(', ')}`)
  for (const server of servers) server.pause()
  parts.power.cut(images)
  for (const image of images) image.copy()
  await Promise.all(servers.map((server) => server.kill()))
  for (const image of images) image.replaceByCopy()
  if (context.random.below(3) === 0) await between(context.random, 1, 1_000)
  await Promise.all(servers.map((server) => server.start()))
  await rig.serves()
}

const common = {
  missing: () => imagesMissing() ?? compilerMissing(),
  prepare: (context: FaultContext) => prepare(context, false),
  usual: 2,
  perCluster: 25,
} as const

export const powerCutOfOne: FaultClass = {
  ...common,
  name: 'power-cut-one',
  family: 'power',
  about: 'power cut of one server: its disk loses what was not flushed',
  async once(rig, context) {
    await between(context.random, 1, 250)
    if (context.random.below(6) === 0) rig.roll()
    await cut(rig, [rig.pick([...rig.servers.values()])], context)
    return 1
  },
}

export const powerCutOfAll: FaultClass = {
  ...common,
  name: 'power-cut-all',
  family: 'power',
  about: 'power cut of all servers at the same moment',
  async once(rig, context) {
    await between(context.random, 1, 250)
    if (context.random.below(6) === 0) rig.roll()
    await cut(rig, [...rig.servers.values()], context)
    return 1
  },
}

/** Not a fault of the machine but of the rig's own proof: flushes that lie must be found out, else the cuts cut nothing. */
export const powerCutOfLiars: FaultClass = {
  ...common,
  name: 'power-cut-of-liars',
  family: 'liars',
  about: 'disks that say flushed and are not: the check of the check, which must fail',
  usual: 0,
  prepare: (context) => prepare(context, true),
  once: powerCutOfAll.once,
}
