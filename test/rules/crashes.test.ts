// Goal: nobody misses what a crashed server has told, and a change comes to its end whoever crashes when (rules 1, 2, 3, 5, 6, 11).
// Method: one story, once for every server and every kind of frame that it sends: it crashes right before, or right after.
import { describe, expect, it } from 'vitest'
import type { World } from '../../sim/world/world.ts'
import { share } from '../volume.ts'
import { outsideVariants, tell, type Variant, variants } from './story.ts'

const everything = ['a', 'b', 'c', 'd', 'e']

describe('a server crashes at any of its frames', () => {
  const all = [...variants, ...outsideVariants.slice(0, 1)]
  for (const { variant, server } of share(casesOf(all, ['1', '2', '3', '4', '5', '7', 'p']), 4)) {
    it(`${variant.name}: ${server}`, () => {
      for (const { kind, count } of framesOf(variant, server)) {
        for (const moment of ['before', 'after'] as const) {
          const { broken, values } = tell(variant, (world) => world.crashAt(server, moment, { kinds: [kind] }, count))
          const where = `${server} crashes ${moment} ${kind} ${count}`
          expect({ where, broken, values }).toEqual({ where, broken: [], values: everything })
        }
      }
    })
  }
})

describe('a server crashes before any of its flushes ends', () => {
  for (const { variant, server } of share(casesOf(variants, ['1', '2', '3', '4', '7', 'p']), 5)) {
    it(`${variant.name}: ${server}`, () => {
      const total = recordsOf(variant, server)
      for (let count = 1; count <= total; count++) {
        const { broken, values } = tell(variant, (world) => crashAtRecord(world, server, count))
        const where = `${server} crashes with record ${count} in memory only`
        expect({ where, broken, values }).toEqual({ where, broken: [], values: everything })
      }
    })
  }
})

function casesOf(all: readonly Variant[], servers: readonly string[]): { variant: Variant; server: string }[] {
  return all.flatMap((variant) => servers.map((server) => ({ variant, server })))
}

/** Kinds of frames that matter, each at its first and at its last time. */
function framesOf(variant: Variant, server: string): { kind: string; count: number }[] {
  const counts = new Map<string, number>()
  let isTold = false
  const { world } = tell(variant, (one) => {
    one.watchers.push((event) => {
      if (event.what !== 'send' || event.parcel.from !== server) return
      isTold = true
      counts.set(event.parcel.kind, (counts.get(event.parcel.kind) ?? 0) + 1)
    })
  })
  if (!isTold && world.server(server).alive) return []
  const uninteresting = ['alive', 'directory', 'identity', 'introduce', 'progress', 'report']
  return [...counts]
    .filter(([kind]) => !uninteresting.includes(kind))
    .flatMap(([kind, last]) => [...new Set([1, last])].map((count) => ({ kind, count })))
}

function recordsOf(variant: Variant, server: string): number {
  let total = 0
  tell(variant, (world) => {
    const { name } = world.server(server)
    world.watchers.push((event) => {
      if (event.what === 'append' && event.server === name) total++
    })
  })
  return total
}

function crashAtRecord(world: World, server: string, count: number): void {
  const node = world.server(server)
  const { name } = node
  let seen = 0
  world.watchers.push((event) => {
    if (event.what !== 'append' || event.server !== name || ++seen !== count) return
    node.holdFlushes()
    world.queue.after(0, () => world.queue.after(0, () => node.kill()))
  })
}
