// Goal: a storage that is being made when the power fails is made anew, as in a data directory: nothing was told of it yet. Method: a
// world whose disks are directories; the power of a server with an empty one fails at every moment of its start.
import { expect, it } from 'vitest'
import { World } from '../../sim/world/world.ts'

const moments = Array.from({ length: 30 }, (_, at) => at)
const restMs = 200

it('a power cut at any moment while a storage is made leaves one that can be used', async () => {
  for (const moment of moments) {
    const world = new World({ seed: moment, disks: 'segments', flushTime: () => 2 })
    await world.found(['a', 'b', 'c'], ['a', 'b', 'c'])
    const server = world.server('c')
    server.loseDisk()
    server.start()
    await world.advance(world.now + moment)
    server.kill()
    server.start()
    await world.advance(world.now + restMs)
    const errors = world.trace.flatMap((event) => (event.what === 'fatal' ? [`at ${moment} ms: ${event.error}`] : []))
    expect(errors).toEqual([])
    expect(server.alive).toBe(true)
  }
})
