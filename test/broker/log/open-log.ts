import { Files, type SystemFiles } from '../../../broker/log/files.ts'
import type { LogOptions } from '../../../broker/log/options.ts'
import { createReached } from '../../../broker/log/reached.ts'
import { SegmentLog } from '../../../broker/log/segment-log.ts'
import { parseSegmentName } from '../../../broker/log/segment-name.ts'
import type { After } from '../../../proto/timer.ts'
import { type Found, recovered } from './conformance.ts'

/** Small enough that a test meets every boundary. */
export const small: Partial<LogOptions> = {
  segmentBytes: 8192,
  recordBytesMax: 4096,
  cacheBytesMax: 2048,
  diskReserveBytes: 16_384,
  seed: 0x5eed,
}

/** A log that has recovered, and what it found. */
export async function openLog(
  files: SystemFiles,
  options = small,
  after?: After,
): Promise<{ log: SegmentLog; found: Found[] }> {
  const log = new SegmentLog(new Files(files), options, after)
  const found = await recovered(log)
  return { log, found }
}

/** Sets the note of how far a log reached back to nothing, as if no commit in it had ended. */
export async function forgetReached(files: SystemFiles): Promise<void> {
  await createReached(new Files(files), small.seed ?? 0)
}

export async function segmentNames(files: SystemFiles): Promise<string[]> {
  return (await files.list()).filter((name) => parseSegmentName(name) !== null)
}

/** Waits until what a log does in the background is done. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
}

/** Time of a log that passes by hand. */
export class HandTime {
  #nowMs = 0
  #alarms: { readonly at: number; readonly run: () => void }[] = []
  readonly after: After = (milliseconds, run) => {
    const alarm = { at: this.#nowMs + milliseconds, run }
    this.#alarms.push(alarm)
    return () => {
      this.#alarms = this.#alarms.filter((one) => one !== alarm)
    }
  }

  /** Alarms that are set. */
  get waiting(): number {
    return this.#alarms.length
  }

  /** What is under way ends; then so many milliseconds pass, and what that causes ends. */
  async pass(milliseconds: number): Promise<void> {
    await settled()
    const end = this.#nowMs + milliseconds
    for (let next = this.#first(end); next !== undefined; next = this.#first(end)) {
      const alarm = next
      this.#alarms = this.#alarms.filter((one) => one !== alarm)
      this.#nowMs = alarm.at
      alarm.run()
      await settled()
    }
    this.#nowMs = end
    await settled()
  }

  #first(end: number) {
    return this.#alarms.filter(({ at }) => at <= end).sort((one, other) => one.at - other.at)[0]
  }
}

export const texts = (found: readonly Found[]): string[] => found.map(({ text }) => text)
