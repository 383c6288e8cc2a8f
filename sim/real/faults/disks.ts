/** Disks that are full, fail, are lost, or come back as they were before; and two servers on one. */
import { closeSync, fsyncSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { adoptDirectory } from '../../../broker/log/directory.ts'
import { text } from '../../../client-sdk/codecs.ts'
import { connect, EpochcastError } from '../../../client-sdk/index.ts'
import { compilerMissing, mountsMissing, system } from '../platform.ts'
import { between, copyDirectory, Rig } from '../rig.ts'
import { ServerProcess } from '../server-process.ts'
import { ordersFile, Shim } from '../shims.ts'
import type { FaultClass } from './fault-class.ts'

const ids = ['a', 'b', 'c'] as const
const shims = new WeakMap<Rig, Shim>()
/** Both topics live without the third server for a while: what happens to it stops nobody. */
const victim = 'c'
const diskMegabytes = 640
const floodMax = 300
const endsWithinMs = 60_000
const backupAgesMs = [300, 3_000] as const
const chunk = Buffer.alloc(1024 * 1024)

export const fsyncFails: FaultClass = {
  name: 'fsync-fails',
  family: 'failing disk',
  about:
    'a flush gives EIO once, at any moment: the server must end, having acknowledged nothing since the last good one',
  usual: 3,
  perCluster: 20,
  missing: compilerMissing,
  async prepare({ folder, random }) {
    const shim = new Shim(folder)
    for (const id of ids) shim.order(ordersFile(folder, id), 'nothing')
    const environmentOf = (id: string) => shim.environment(ordersFile(folder, id))
    const rig = await Rig.create({ folder, random, ids, environmentOf })
    shims.set(rig, shim)
    return { rig, release: () => {} }
  },
  async once(rig, { random, folder }) {
    await between(random, 1, 200)
    const server = rig.pick([...rig.servers.values()])
    rig.workload.fault(`the next flush of ${server.id} fails`)
    shims.get(rig)?.order(ordersFile(folder, server.id), 'fail')
    await rig.until(() => !server.isRunning, `${server.id} goes on after a failed flush`, endsWithinMs)
    const exit = server.unexpected.pop()
    if (exit === undefined || exit.code === 0) throw new Error(`I8: ${server.id} ended as if nothing had happened`)
    if (!exit.words.includes('EC_DISK_FAILED')) throw new Error(`${server.id} does not say why it ended: ${exit.words}`)
    await server.start()
    await rig.serves()
    return 1
  },
}

export const fullDisk: FaultClass = {
  name: 'full-disk',
  family: 'full disk',
  about: 'a small disk is filled by somebody else, then given back: batches are refused, nothing is lost',
  usual: 2,
  perCluster: 4,
  missing: mountsMissing,
  async prepare({ folder, random }) {
    const mounts = ids.map((id) => join(folder, `${id}.disk`))
    for (const mount of mounts) {
      mkdirSync(mount, { recursive: true })
      system('mount', ['-t', 'tmpfs', '-o', `size=${diskMegabytes}m`, 'tmpfs', mount])
    }
    const release = () => {
      for (const mount of mounts) system('umount', ['-l', mount])
    }
    try {
      const dataOf = (id: string) => join(folder, `${id}.disk`, 'data')
      return { rig: await Rig.create({ folder, random, ids, dataOf }), release }
    } catch (error) {
      release()
      throw error
    }
  },
  async once(rig, { folder, random, reached }) {
    const id = rig.pick(ids)
    rig.workload.fault(`the disk of ${id} is full`)
    const filler = join(folder, `${id}.disk`, 'somebody-else')
    fill(filler)
    // Enough that the segments made ahead are used up, so that space is really asked for.
    const refused = await flood(rig, id)
    if (refused) reached('batches refused')
    if (random.below(2) === 0) rig.roll()
    await between(random, 200, 1_500)
    if (random.below(2) === 0) {
      rig.workload.fault(`SIGKILL of ${id} on its full disk`)
      reached('killed and started on a full disk')
      await rig.server(id).kill()
      rmSync(filler)
      await rig.server(id).start()
    } else rmSync(filler)
    rig.workload.fault(`the disk of ${id} has space again`)
    await rig.serves()
    return 1
  },
}

/** Takes all the space that there is. */
function fill(path: string): void {
  const file = openSync(path, 'w')
  try {
    for (let size = chunk.length; size >= 4096; ) {
      try {
        writeSync(file, chunk, 0, size)
      } catch {
        size /= 2
      }
    }
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
}

/** Publishes to a topic that this server has to store until it refuses, or long enough. @returns whether it did */
async function flood(rig: Rig, id: string): Promise<boolean> {
  const client = await connect(rig.url, { timeoutMs: 30_000 })
  const name = `flood-${id}`
  try {
    const members = [id, ids.find((other) => other !== id) ?? '']
    if (!rig.made.has(name))
      await client.admin.createTopic(name, { mode: 'fault-recovery', members, timeoutMs: 30_000 })
    rig.made.add(name)
    const topic = client.topic(name, { codec: text() })
    const body = 'f'.repeat(200 * 1024)
    for (let count = 0; count < floodMax; count++) {
      try {
        await topic.publish(body, { timeoutMs: 2_000 })
      } catch (error) {
        if (!(error instanceof EpochcastError)) throw error
        return true
      }
    }
    return false
  } finally {
    await client.close()
  }
}

const plain: Pick<FaultClass, 'missing' | 'prepare'> = {
  missing: () => null,
  prepare: async ({ folder, random }) => ({ rig: await Rig.create({ folder, random }), release: () => {} }),
}

export const twoProcesses: FaultClass = {
  ...plain,
  name: 'two-processes',
  family: 'lock',
  about: 'a second server on a data directory in use must end, and the first go on',
  usual: 2,
  perCluster: 20,
  async once(rig, { random }) {
    const first = rig.pick([...rig.servers.values()])
    const port = 30_000 + random.below(500)
    const second = new ServerProcess({ ...first.options, listen: `127.0.0.1:${port}` })
    rig.workload.fault(`a second process on the directory of ${first.id}`)
    const { code, words } = await second.launch()
    if (code === 0) throw new Error('I8: two processes on one data directory')
    if (!words.includes('EC_LOG_LOCKED')) throw new Error(`it does not say why it ended: ${words}`)
    await rig.serves()
    return 1
  },
}

export const lostDisk: FaultClass = {
  ...plain,
  name: 'lost-disk',
  family: 'lost disk',
  about: 'a server comes back without its disk: it is another one, and an epoch change takes it in',
  usual: 2,
  perCluster: 8,
  async once(rig, { random, reached }) {
    await between(random, 1, 200)
    const server = rig.server(victim)
    rig.workload.fault(`${server.id} loses its disk`)
    const before = rig.names.get(server.id)
    await server.kill()
    rmSync(server.options.data, { recursive: true, force: true })
    const name = await server.start()
    if (name === before) throw new Error(`I4: ${server.id} without its disk is still called ${name}`)
    rig.names.set(server.id, name)
    await rig.serves()
    await rig.restoreMembers()
    reached('taken in again')
    await rig.serves()
    return 1
  },
}

export const restoredDisk: FaultClass = {
  ...plain,
  name: 'restored-disk',
  family: 'old disk',
  about: 'a server comes back with an old copy of its disk: it must find out, and end',
  usual: 2,
  perCluster: 8,
  async once(rig, { random, reached }) {
    const server = rig.server(victim)
    const backup = join(rig.folder, `${server.id}.backup`)
    await server.kill()
    copyDirectory(server.options.data, backup)
    await server.start()
    await rig.serves()
    await between(random, backupAgesMs[0], backupAgesMs[1])
    const isOutage = random.below(3) === 0
    rig.workload.fault(`${server.id} comes back with an old disk${isOutage ? ', after all were restarted' : ''}`)
    // Long enough that the others have written down what they saw, where they are restarted as well.
    if (isOutage) await sleep(12_000)
    const stopped = isOutage ? [...rig.servers.values()] : [server]
    await Promise.all(stopped.map((one) => one.kill()))
    copyDirectory(backup, server.options.data)
    // A copy is refused at its own start; what is tried here is somebody who says that it is the original.
    await adoptDirectory(server.options.data)
    const exit = server.launch()
    await Promise.all(stopped.filter((one) => one !== server).map((one) => one.start()))
    const { code, words } = await ended(exit, server)
    server.unexpected.pop()
    if (code === 0 || !words.includes('EC_STORAGE_OLD'))
      throw new Error(`I1: ${server.id} served from an old disk: ${words}`)
    reached(isOutage ? 'found out after all were restarted' : 'found out')
    rmSync(server.options.data, { recursive: true, force: true })
    rig.names.set(server.id, await server.start())
    await rig.restoreMembers()
    await rig.serves()
    return 1
  },
}

async function ended<T>(exit: Promise<T>, server: ServerProcess): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`I1: ${server.id} goes on with an old disk`)), endsWithinMs)
  })
  try {
    return await Promise.race([exit, late])
  } finally {
    clearTimeout(timer)
  }
}
