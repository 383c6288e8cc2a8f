// Goal: one seed is one history, and no clock decides anything (rule 12).
// Method: every scenario runs twice, then with clocks that jump by years, each server's in its own way: the same frames go the
// same ways in the same order, and the same is said.
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { World } from '../../sim/world/world.ts'
import { runScenario } from '../harness/scenario.ts'
import { formatScenario, parseScenario } from '../harness/scenario-file.ts'
import { share } from '../volume.ts'

const folder = join(import.meta.dirname, '..', 'scenarios')
/** The tail of a total order goes by the publishers' stamps: everybody agrees on it, whatever their clocks say. */
const byStamps = new Set(['fig7-two-orders.txt'])
const yearMs = 365 * 24 * 3600 * 1000

describe('one history', () => {
  const names = readdirSync(folder).filter((file) => file.endsWith('.txt'))
  for (const name of share(names.sort(), 4)) {
    const file = parseScenario(readFileSync(join(folder, name), 'utf8'))
    if (file.open !== null) continue
    it(name.slice(0, -'.txt'.length), () => {
      const first = runScenario(file)
      const again = runScenario(file)
      expect(bytesOf(again.world)).toBe(bytesOf(first.world))
      if (byStamps.has(name)) return
      const wild = runScenario(file, { clock: wildClock() })
      expect(formatScenario(wild.file)).toBe(formatScenario(first.file))
      expect(waysOf(wild.world)).toEqual(waysOf(first.world))
    })
  }
})

/** Every reading is ten years away from the one before, in a direction that depends on who reads. */
function wildClock(): (id: string, now: number) => number {
  let readings = 0
  return (id, now) => {
    readings++
    const years = ((readings * 7 + id.charCodeAt(0)) % 21) - 10
    return 1_700_000_000_000 + now + years * yearMs + ((readings * 7919) % 99_991)
  }
}

function bytesOf(world: World): string {
  const hash = createHash('sha256')
  for (const event of world.trace) {
    if (event.what === 'send' || event.what === 'deliver')
      hash.update(event.what).update(event.parcel.to).update(event.parcel.bytes)
  }
  return hash.digest('hex')
}

function waysOf(world: World): string[] {
  return world.trace.flatMap((event) =>
    event.what === 'deliver' ? [`${event.at} ${event.parcel.from} ${event.parcel.to} ${event.parcel.kind}`] : [],
  )
}
