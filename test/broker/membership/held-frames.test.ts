// Goal: what comes for a server while it asks whether its disk is as new as it was is kept as it came, although the memory that it
// came in is used again. Method: a server that comes back cut off from the others, and a batch for it meanwhile.
import { expect, it } from 'vitest'
import { World } from '../../../sim/world/world.ts'

it('holds a batch whole until it may speak, and stores it', () => {
  const world = new World({ seed: 2, latency: () => 0.1, flushTime: () => 0.3 })
  world.bootstrap(['a', 'b', 'c', 'x'], ['a', 'b', 'c'])
  world.client('p').create('t', { mode: 'fault-masking', members: ['a', 'b', 'c'] })
  world.client('p').add('t', 'before')
  world.tick(150)
  world.server('b').kill()
  for (const other of ['a', 'c', 'x']) {
    world.network.cut('b', other)
    world.network.cut(other, 'b')
  }
  world.server('b').start()
  world.tick(3)
  world.client('p').add('t', 'while it asks')
  const from = world.trace.length
  world.tick(20)
  const said = () =>
    world.trace.slice(from).flatMap((event) => {
      if (event.what !== 'send' || event.parcel.from !== 'b' || event.parcel.to !== 'p') return []
      const { message } = event.parcel
      return message.kind === 'refused' ? [message.refusal] : message.kind === 'stored' ? [message.kind] : []
    })
  expect(said()).toEqual([])
  for (let ticks = 0; ticks < 150 && said().length === 0; ticks++) world.tick()
  expect(said()[0]).toBe('stored')
})
