/**
 * Versions of the protocol. Each entry of the message table names the first one that has it. A connection begins with the range that
 * each side speaks, a cluster has one agreed version in its record, and nothing newer than that is sent or taken in it.
 */
import { EpochcastError } from './errors.ts'

export interface VersionRange {
  /** The oldest and the newest version that is spoken. */
  readonly min: number
  readonly max: number
}

/** What this build speaks. */
export const protocolVersions: VersionRange = { min: 1, max: 1 }

/** Clusters made before versions were agreed have no version in their record. */
export const firstVersion = 1

export function speaks({ min, max }: VersionRange, version: number): boolean {
  return version >= min && version <= max
}

/**
 * The newest version that all of them speak.
 * @throws EpochcastError `EC_PROTOCOL_VERSION` where there is none
 */
export function agreedVersion(ranges: readonly VersionRange[]): number {
  const newest = Math.min(...ranges.map(({ max }) => max))
  if (ranges.every((range) => speaks(range, newest))) return newest
  throw otherVersion(`no version of the protocol is common to all: they speak ${ranges.map(formatRange).join(', ')}`)
}

export function formatRange({ min, max }: VersionRange): string {
  return min === max ? `${min}` : `${min} to ${max}`
}

export function otherVersion(text: string): EpochcastError {
  return new EpochcastError('EC_PROTOCOL_VERSION', text, {
    hint: 'Run versions of epochcast that overlap: upgrade the older side first.',
  })
}
