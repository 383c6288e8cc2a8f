/** How seeds draw. */
import type { Random } from '../../proto/machine/ports.ts'
import { seededRandom } from '../seeded-random.ts'

/** One of several independent streams of a seed. */
export function streamOf(seed: number, stream: number): Random {
  return seededRandom(Math.imul(seed + 1, 0x9e37_79b1) ^ Math.imul(stream, 0x85eb_ca6b))
}

/** A stream that belongs to somebody: what others do does not shift it. */
export function namedStream(seed: number, name: string): Random {
  let mixed = Math.imul(seed + 1, 0x9e37_79b1)
  for (let at = 0; at < name.length; at++) mixed = Math.imul(mixed ^ name.charCodeAt(at), 0x0100_0193)
  return seededRandom(mixed)
}

/** Log-uniform: each order of magnitude as often as the next. */
export function logUniform(random: Random, least: number, most: number): number {
  const share = random.below(1_000_000) / 1_000_000
  return Math.round(least * (most / least) ** share)
}

export function pick<T>(random: Random, of: readonly T[]): T {
  return of[random.below(of.length)] as T
}

export function shuffled<T>(random: Random, of: readonly T[]): T[] {
  const left = [...of]
  const all: T[] = []
  while (left.length > 0) all.push(...left.splice(random.below(left.length), 1))
  return all
}
