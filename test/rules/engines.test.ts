// Goal: an engine outside of the cluster ends each epoch once, whatever happens to what it is asked and to who asks (fault R8). Method:
// one story, once for every call that servers make: it is lost, its answer is lost, who asks crashes, or the engine is away from then on
// for a while; and with an engine that is slow.
import { describe, expect, it } from 'vitest'
import type { WorldEvent } from '../../sim/world/events.ts'
import type { World } from '../../sim/world/world.ts'
import { outsideVariants, tell, type Variant } from './story.ts'

const everything = ['a', 'b', 'c', 'd', 'e']

/** What happens at one call. */
const faults: Record<string, (world: World, server: string) => void> = {
  'is lost': (world) => world.engine('main').loseCalls(1),
  'and the next are lost': (world) => world.engine('main').loseCalls(3),
  'is answered to nobody': (world) => world.engine('main').loseAnswers(1),
  'is made by a server that crashes': (world, server) => {
    world.queue.after(0, () => world.server(server).kill())
  },
  'is answered to nobody, for who asked crashes': (world, server) => {
    world.engine('main').loseAnswers(1)
    world.queue.after(0, () => world.queue.after(0, () => world.server(server).kill()))
  },
  'finds the engine down': (world) => {
    world.engine('main').isDown = true
    world.queue.after(
      700,
      () => {
        world.engine('main').isDown = false
      },
      true,
    )
  },
  'finds the engine silent': (world) => {
    world.engine('main').isSilent = true
    world.queue.after(
      700,
      () => {
        world.engine('main').isSilent = false
      },
      true,
    )
  },
}

describe('a call to the engine', () => {
  for (const variant of outsideVariants) {
    for (const [what, happen] of Object.entries(faults)) {
      it(`${variant.name}: ${what}`, () => {
        const total = callsOf(variant)
        expect(total).toBeGreaterThanOrEqual(4)
        for (let count = 1; count <= total; count++) {
          const { broken, values } = tell(variant, (world) => atCall(world, count, happen))
          expect({ call: count, broken, values }).toEqual({ call: count, broken: [], values: everything })
        }
      })
    }
  }
})

describe('a slow engine', () => {
  for (const variant of outsideVariants) {
    for (const delay of [15, 60]) {
      it(`${variant.name}: ${delay} ms each way`, () => {
        const slow = (world: World) => {
          world.engine('main').delay = () => delay
        }
        const { broken, values } = tell(variant, slow)
        expect({ broken, values }).toEqual({ broken: [], values: everything })
      })
    }
  }
})

describe('two coordinators propose at once', () => {
  for (const variant of outsideVariants) {
    for (const delay of [0, 20, 50, 120]) {
      it(`${variant.name}: ${delay} ms each way`, () => {
        let proposals = 0
        const { broken, values, world } = tell(variant, (one) => {
          one.engine('main').delay = () => delay
          one.watchers.push((event) => {
            if (event.what === 'engine' && event.call.kind === 'propose' && event.call.register.epoch === 1) proposals++
          })
          challenge(one, variant)
        })
        expect({ broken, values }).toEqual({ broken: [], values: everything })
        const by = new Set(world.trace.flatMap((event) => (proposes(event) ? [event.server] : [])))
        if (delay >= 50) expect([proposals >= 2, by.size >= 2]).toEqual([true, true])
      })
    }
  }
})

function proposes(event: WorldEvent): event is WorldEvent & { what: 'engine' } {
  return event.what === 'engine' && event.call.kind === 'propose' && event.call.register.epoch === 1
}

/** As soon as somebody has asked for a change, somebody else asks another server for another one. */
function challenge(world: World, { members }: Variant): void {
  let isAsked = false
  world.watchers.push((event) => {
    if (isAsked || event.what !== 'send' || event.parcel.kind !== 'reconfigure') return
    isAsked = true
    const wish = { by: ['p'], changeId: 'rival', epoch: 0, members: members[2] }
    world.queue.after(0, () => void world.client('rival').reconfigure('t', wish))
  })
}

function callsOf(variant: Variant): number {
  let total = 0
  tell(variant, (world) => {
    world.watchers.push((event) => {
      if (event.what === 'engine' && event.call.kind !== 'check') total++
    })
  })
  return total
}

function atCall(world: World, count: number, happen: (world: World, server: string) => void): void {
  let seen = 0
  world.watchers.push((event) => {
    if (event.what !== 'engine' || event.call.kind === 'check' || ++seen !== count) return
    happen(world, event.server.slice(0, event.server.indexOf('@')))
  })
}
