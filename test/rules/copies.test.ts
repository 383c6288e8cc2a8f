// Goal: repeating frames changes nothing that clients are told, at once and in later epochs (rules 4, 7, 11).
// Method: one story, with every frame of one kind delivered twice, then with every frame of one kind that was ever sent
// delivered again at the end of the first epoch and at the end of the story.
import { describe, expect, it } from 'vitest'
import { kinds } from '../../proto/wire/messages.ts'
import { share } from '../volume.ts'
import { tell, variants } from './story.ts'

const everything = ['a', 'b', 'c', 'd', 'e']

describe('frames come twice', () => {
  for (const variant of variants) {
    it(variant.name, () => {
      for (const kind of share(kinds, 5)) {
        const { broken, values } = tell(variant, (world) => world.network.addRule('twice', { kinds: [kind] }))
        expect({ kind, broken, values }).toEqual({ kind, broken: [], values: everything })
      }
    })
  }
})

describe('frames come again, late', () => {
  for (const variant of variants) {
    it(variant.name, () => {
      for (const kind of share(kinds, 6)) {
        const { broken, values } = tell(variant, (world) => {
          for (const ticks of [5, 20, 70, 110, 160])
            world.queue.after(ticks * 10, () => world.replay({ kinds: [kind] }), true)
        })
        expect({ kind, broken, values }).toEqual({ kind, broken: [], values: everything })
      }
    })
  }
})
