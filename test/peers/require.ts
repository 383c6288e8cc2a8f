/**
 * Tests against servers of others are skipped, with the reason, where the program is not installed.
 * `EPOCHCAST_REQUIRE=nats,redis` makes a missing one a failure: nothing is skipped by mistake where it must run.
 */
import { describe, it } from 'vitest'

/**
 * `describe` when the program is there, else one skipped (or failing) test that says why.
 * @param name what `EPOCHCAST_REQUIRE` calls it
 * @param version null when the program is not installed
 */
export function describeWith(name: string, program: string, version: string | null) {
  return (title: string, body: () => void): void => {
    if (version !== null) {
      describe(title, body)
      return
    }
    const required = (process.env.EPOCHCAST_REQUIRE ?? '').split(',').includes(name)
    describe(title, () => {
      if (required) {
        it(`needs ${program}`, () => {
          throw new Error(`${program} is not installed, and EPOCHCAST_REQUIRE names ${name}`)
        })
      } else {
        it.skip(`skipped: ${program} is not installed`, () => {})
      }
    })
  }
}
