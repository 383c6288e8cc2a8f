// Goal: the design of the epoch change, apart from its code, keeps its rules in every order of events; every bug that is
// planted in the design is refuted.
// Method: `epoch-change.pml` is searched by Spin, where it is installed; the large searches only with EPOCHCAST_NIGHTLY=1.
import { describe, expect, it } from 'vitest'
import { checkModel, missingTool } from './spin.ts'
import { type Variant, variants } from './variants.ts'

const missing = missingTool()
const isNightly = process.env.EPOCHCAST_NIGHTLY === '1'
/** A few of the planted bugs in every run, all of them at night. */
const always = ['without staging', 'staged holder', 'not adopted', 'across stakes', 'volatile wedge']
if (missing !== null) console.log(`model of the epoch change: skipped: ${missing}`)

describe.skipIf(missing !== null)('model of the epoch change', () => {
  for (const variant of variants) {
    const isSmall = variant.holds ? variant.nightly !== true : always.some((part) => variant.name.includes(part))
    it.skipIf(!isNightly && !isSmall)(titleOf(variant), { timeout: isNightly ? 3_600_000 : 120_000 }, () => {
      const { broken, complete, states } = checkModel(variant, isNightly ? 3_600_000 : 120_000)
      expect(states).toBeGreaterThan(variant.bounded === true ? 1_000_000 : 0)
      if (!variant.holds) expect(broken).not.toBe(null)
      else expect({ broken, isEnough: complete || variant.bounded === true }).toEqual({ broken: null, isEnough: true })
    })
  }
})

function titleOf({ name, holds, bounded }: Variant): string {
  if (!holds) return `refutes: ${name}`
  return bounded === true ? `${name}, as far as memory goes` : name
}
