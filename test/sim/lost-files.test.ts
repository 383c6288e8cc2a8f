// Goal: what the simulator does to the files of a server is what the server itself has to notice: no loss of power comes on top of it,
// which may set back the note of how far the log reached. Method: small worlds whose disks are directories.
import { describe, expect, it } from 'vitest'
import { EpochcastError } from '../../proto/errors.ts'
import { seededRandom } from '../../sim/seeded-random.ts'
import { LostFiles } from '../../sim/swarm/lost-files.ts'
import { Tolerance } from '../../sim/swarm/tolerance.ts'
import { World } from '../../sim/world/world.ts'

const seeds = [1, 2, 3, 4, 5, 6, 7, 8]
const restMs = 200

async function founded(seed: number) {
  const world = new World({ seed, disks: 'segments', flushTime: () => 2 })
  await world.found(['a', 'b', 'c', 'd', 'e'], ['a', 'b', 'c'])
  const client = world.client('x', false)
  await world.advance(world.now + restMs)
  client.create('t', { members: ['b', 'd', 'e'], mode: 'fault-masking' })
  await world.advance(world.now + restMs)
  client.add('t', 'first')
  await world.advance(world.now + restMs)
  return {
    world,
    files: new LostFiles(world, new Tolerance(world.cluster?.arbiters.map(({ name }) => name) ?? []), () => {}),
  }
}

function refusals(world: World): number {
  const isRefusal = (error: unknown) => error instanceof EpochcastError && error.code === 'EC_LOG_DAMAGED'
  return world.trace.filter((event) => event.what === 'fatal' && isRefusal(event.error)).length
}

describe('the files of a server', () => {
  it('are left alone while it recovers from a loss of power', async () => {
    for (const seed of seeds) {
      const { world, files } = await founded(seed)
      const server = world.server('d')
      server.holdFlushes()
      server.kill()
      server.start()
      await world.advance(world.now + restMs)
      expect(files.strike(server, 'D12', seededRandom(seed))).toBe(null)
      server.releaseFlushes()
      await world.advance(world.now + restMs)
      expect([server.alive, refusals(world)]).toEqual([true, 0])
    }
  })

  it('are refused where they lack something, also when the power fails before that is seen', async () => {
    for (const seed of seeds) {
      const { world, files } = await founded(seed)
      const server = world.server('d')
      expect(files.strike(server, 'D12', seededRandom(seed))).toMatch(/^d: .* bytes$/)
      server.start()
      server.kill()
      server.start()
      await world.advance(world.now + restMs)
      expect([server.alive, refusals(world)]).toEqual([false, 1])
    }
  })
})
