import { readFileSync } from 'node:fs'

const path = '/proc/sys/kernel/random/boot_id'

/** An id that this machine's system has drawn when it started; null where it does not say. */
export function bootOfMachine(): string | null {
  try {
    return readFileSync(path, 'utf8').trim() || null
  } catch {
    return null
  }
}
