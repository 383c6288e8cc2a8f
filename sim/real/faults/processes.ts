/** Processes that end, stop and go on, at any time. */
import { between, Rig } from '../rig.ts'
import type { FaultClass } from './fault-class.ts'

const plain: Pick<FaultClass, 'missing' | 'prepare'> = {
  missing: () => null,
  prepare: async ({ folder, random }) => ({ rig: await Rig.create({ folder, random }), release: () => {} }),
}
const rollShare = 6

export const kill: FaultClass = {
  ...plain,
  name: 'kill',
  family: 'kill',
  about: 'SIGKILL of one, several or all servers, and a start on the same disk',
  usual: 6,
  perCluster: 40,
  async once(rig, { random, reached }, most) {
    await between(random, 1, 250)
    if (random.below(rollShare) === 0) rig.roll()
    await between(random, 1, 50)
    const servers = rig.pickServers(random.below(3) === 0 ? Math.min(most, 3) : 1)
    rig.workload.fault(`SIGKILL of ${servers.map(({ id }) => id).join(', ')}`)
    await Promise.all(servers.map((server) => server.kill()))
    if (servers.length === rig.servers.size) reached('all servers at once')
    if (random.below(3) === 0) await between(random, 1, 1_500)
    await Promise.all(servers.map((server) => server.start()))
    await rig.serves()
    return servers.length
  },
}

export const restart: FaultClass = {
  ...plain,
  name: 'restart',
  family: 'kill',
  about: 'SIGTERM and a start on the same disk',
  usual: 3,
  perCluster: 40,
  async once(rig, { random }) {
    await between(random, 1, 200)
    const server = rig.pick([...rig.servers.values()])
    rig.workload.fault(`SIGTERM of ${server.id}`)
    await server.stop()
    await server.start()
    await rig.serves()
    return 1
  },
}

export const pause: FaultClass = {
  ...plain,
  name: 'pause',
  family: 'pause',
  about: 'SIGSTOP of one, several or all servers, and SIGCONT after 10 ms to 6 s',
  usual: 4,
  perCluster: 40,
  async once(rig, { random, reached }) {
    await between(random, 1, 200)
    if (random.below(rollShare / 2) === 0) rig.roll()
    const servers = rig.pickServers(3)
    const isLong = random.below(4) === 0
    if (isLong) reached('long enough to be suspected')
    rig.workload.fault(`SIGSTOP of ${servers.map(({ id }) => id).join(', ')}`)
    for (const server of servers) server.pause()
    await between(random, isLong ? 2_000 : 10, isLong ? 6_000 : 800)
    for (const server of servers) server.resume()
    rig.workload.fault('SIGCONT')
    await rig.serves()
    return 1
  },
}
