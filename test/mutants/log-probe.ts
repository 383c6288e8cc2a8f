/**
 * The log on a disk that loses power and fails: whatever was flushed is found again, in order, and what was cut never comes
 * back. One seed, one disk.
 */
import { Files } from '../../broker/log/files.ts'
import type { LogOptions } from '../../broker/log/options.ts'
import { SegmentLog } from '../../broker/log/segment-log.ts'
import { EpochcastError } from '../../proto/errors.ts'
import { seededRandom } from '../../sim/seeded-random.ts'
import { CrashFiles, systemError } from '../../sim/world/crash-files.ts'
import type { Finding } from './finding.ts'

const options: Partial<LogOptions> = {
  segmentBytes: 8192,
  recordBytesMax: 4096,
  cacheBytesMax: 2048,
  diskReserveBytes: 16_384,
  seed: 0x5eed,
}

interface Written {
  readonly text: string
  flushed: boolean
}

/** @returns what does not hold, at most one thing */
export async function probeLog(seed: number): Promise<Finding | null> {
  const random = seededRandom(seed)
  let files = new CrashFiles(random)
  let written: Written[] = []
  let number = 0
  let isMarked = false
  for (let life = 0; life < 6; life++) {
    const rotten = random.below(4) === 0 ? await flipped(files, random.below) : null
    if (rotten !== null) {
      const shown = await recovered(new SegmentLog(new Files(rotten), options))
      // Behind a mark that is on disk, whatever was flushed is known to have been: nothing of it may be cut.
      const served = shown instanceof Error ? null : judge(written, shown, isMarked)
      if (served !== null) return { check: 'I11', text: `life ${life}, a flipped bit: ${served}` }
    }
    const log = new SegmentLog(new Files(files), options)
    const found = await recovered(log)
    if (found instanceof Error)
      return { check: 'I8', text: `life ${life}: recovery of sound bytes fails: ${found.message}` }
    const wrong = judge(written, found, true)
    if (wrong !== null) return { check: 'I8', text: `life ${life}: ${wrong}` }
    written = found.map((text) => ({ text, flushed: true }))
    number = await live(log, files, written, number, random.below)
    files.fault = () => null
    isMarked = random.below(2) === 0 && (await marked(log))
    files = random.below(3) === 0 ? files.restart() : files.powerLoss()
  }
  return null
}

/** Some commits; perhaps one of them fails, and then nothing after it counts as flushed. */
async function live(
  log: SegmentLog,
  files: CrashFiles,
  written: Written[],
  from: number,
  below: (bound: number) => number,
): Promise<number> {
  let number = from
  const commits = 1 + below(6)
  const failing = below(3) === 0 ? below(commits) : -1
  for (let commit = 0; commit < commits; commit++) {
    if (commit === failing) {
      let failed = false
      files.fault = (operation) => {
        if (operation !== 'datasync' || failed) return null
        failed = true
        return systemError('EIO')
      }
    }
    const batch: Written[] = []
    try {
      for (let count = 1 + below(4); count > 0; count--) {
        const text = `${++number}:`.padEnd(8 + below(1500), 'x')
        log.append('batch', Buffer.from(text))
        batch.push({ text, flushed: false })
      }
    } catch {
      return number
    }
    written.push(...batch)
    if (below(5) === 0) return number
    try {
      await log.flush()
    } catch {
      continue
    }
    for (const one of written) one.flushed = true
    if (below(4) === 0) log.idle()
    if (below(6) === 0) await settled()
  }
  return number
}

async function recovered(log: SegmentLog): Promise<string[] | Error> {
  const found: string[] = []
  try {
    await log.recover((_kind, body) => found.push(Buffer.from(body).toString()))
    return found
  } catch (error) {
    return error instanceof EpochcastError ? error : new Error(`no error of the log's own: ${error}`, { cause: error })
  }
}

/** A copy of the disk with one bit of a segment flipped. */
async function flipped(files: CrashFiles, below: (bound: number) => number): Promise<CrashFiles | null> {
  const names = (await files.list()).filter((name) => files.bytesOf(name).some((byte) => byte !== 0))
  const name = names[below(Math.max(1, names.length))]
  if (name === undefined) return null
  const used = files.bytesOf(name).findLastIndex((byte) => byte !== 0)
  const copy = files.clone()
  copy.flip(name, below(used + 1), below(8))
  return copy
}

/** The found ones are a prefix of the written ones; `whole`: with everything that was flushed. */
function judge(written: readonly Written[], found: readonly string[], whole: boolean): string | null {
  for (const [at, text] of found.entries()) {
    if (written[at]?.text !== text)
      return `finds ${text.slice(0, 12)} where ${written[at]?.text.slice(0, 12)} was written`
  }
  const lost = written[found.length]
  return whole && lost?.flushed === true ? `lost ${lost.text.slice(0, 12)}, which was flushed` : null
}

/** Everything so far is flushed, and so is a mark that says it. */
async function marked(log: SegmentLog): Promise<boolean> {
  if (log.dirty) return false
  await settled()
  log.idle()
  await settled()
  return true
}

async function settled(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
}
