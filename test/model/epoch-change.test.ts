// Goal: the design of the epoch change, apart from its code, keeps its rules in every order of events; every bug that is
// planted in the design is refuted.
// Method: `epoch-change.pml` is searched by Spin, where it is installed; the large searches only with EPOCHCAST_NIGHTLY=1.
import { describe, expect, it } from 'vitest'
import { share } from '../volume.ts'
import { checkModel, missingTool } from './spin.ts'
import { type Variant, variants } from './variants.ts'

const missing = missingTool()
const isNightly = process.env.EPOCHCAST_NIGHTLY === '1'
const timeoutMs = isNightly ? 3_600_000 : 600_000
/** A few of the planted bugs in every run, all of them at night. */
const always = ['without staging', 'staged holder', 'not adopted', 'across stakes', 'volatile wedge']
if (missing !== null) console.log(`model of the epoch change: skipped: ${missing}`)

describe.skipIf(missing !== null)('model of the epoch change', () => {
  const isSmall = ({ holds, nightly, name }: Variant) =>
    holds ? nightly !== true : always.some((part) => name.includes(part))
  const chosen = isNightly ? variants : share(variants.filter(isSmall), 4)
  for (const variant of chosen) {
    it(titleOf(variant), { timeout: timeoutMs }, async () => {
      const { broken, complete, states } = await checkModel(variant, timeoutMs)
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
