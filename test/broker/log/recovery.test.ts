import { describe, expect, it } from 'vitest'
import { Files } from '../../../broker/log/files.ts'
import { headerBytes } from '../../../broker/log/record.ts'
import { SegmentLog } from '../../../broker/log/segment-log.ts'
import { segmentName } from '../../../broker/log/segment-name.ts'
import { seededRandom } from '../../../sim/seeded-random.ts'
import { CrashFiles, systemError } from '../../../sim/world/crash-files.ts'
import { bytes, type Found } from './conformance.ts'
import { forgetReached, openLog, segmentNames, settled, small, texts } from './open-log.ts'

/**
 * Goal: after any stop, every flushed record is found; a torn tail is cut; damage is never cut.
 * Method: a small log, then truncation, flipped bits and power losses at every place.
 */

const first = segmentName(0)

/** Commits of the given records, each flushed, none acknowledged; without marks behind the last unless `idle`. */
async function logOf(commits: string[][], idle = false): Promise<{ files: CrashFiles; found: Found[] }> {
  const files = new CrashFiles(seededRandom(7))
  const { log } = await openLog(files)
  const found: Found[] = []
  for (const commit of commits) {
    for (const text of commit) found.push({ kind: 'batch', text, position: log.append('batch', bytes(text)) })
    await log.flush()
  }
  if (idle) log.idle()
  await settled()
  const next = files.restart()
  await forgetReached(next)
  return { files: next, found }
}

describe('a torn tail', () => {
  it('is cut at the last whole record, wherever the file ends', async () => {
    const { files, found } = await logOf([['one'], ['two', 'three'], ['four', 'five '.repeat(30), 'six']])
    const end = (found.at(-1) as Found).position + 64
    await files.remove(segmentName(8192))
    for (let length = 0; length <= end; length++) {
      const torn = files.clone()
      torn.truncate(first, length)
      const whole = found.filter(({ position, text }) => position + headerBytes + text.length <= length)
      const { log, found: kept } = await openLog(torn)
      expect(kept).toEqual(whole)
      // The place is written again, and nothing of the old tail comes back behind it.
      log.append('batch', bytes('next'))
      await log.flush()
      const { found: after } = await openLog(torn.powerLoss())
      expect(texts(after)).toEqual([...texts(whole), 'next'])
    }
  })

  it('is cut at a record whose bytes were lost while later ones of its commit survived', async () => {
    const { files, found } = await logOf([['one'], ['two', 'three', 'four', 'five']])
    const bad = found[2] as Found
    files.flip(first, bad.position + headerBytes, 0)
    const { log, found: kept } = await openLog(files)
    expect(texts(kept)).toEqual(['one', 'two'])
    // The next commit, a mark and an empty record, ends exactly where an old record begins.
    expect(log.append('protocol', bytes('')) + headerBytes).toBe((found[4] as Found).position)
    await log.flush()
    const { found: after } = await openLog(files.powerLoss())
    expect(texts(after)).toEqual(['one', 'two', ''])
  })

  it('that reaches into later segments is cut there too', async () => {
    const big = (text: string) => text.padEnd(3000, text)
    const { files, found } = await logOf([['one'], ['a', 'b', 'c', 'd', 'e', 'f', 'g'].map(big)])
    expect(found.at(-1)?.position).toBeGreaterThan(2 * 8192)
    files.flip(first, (found[1] as Found).position + 1000, 3)
    const stopped = files.clone()
    stopped.fault = (operation) => (operation === 'create' ? systemError('EIO') : null)
    await openLog(stopped)
    expect(await segmentNames(stopped)).toEqual([first])
    const { log, found: kept } = await openLog(files)
    expect(texts(kept)).toEqual(['one'])
    for (const text of ['a', 'b', 'x'].map(big)) log.append('batch', bytes(text))
    await log.flush()
    const { found: after } = await openLog(files.powerLoss())
    expect(texts(after)).toEqual(['one', ...['a', 'b', 'x'].map(big)])
  })
})

describe('damage', () => {
  it('is a record that is intact but at another place', async () => {
    const { files, found } = await logOf([['one'], ['two']])
    const [one, two] = found as [Found, Found]
    const image = files.bytesOf(first)
    image.copyWithin(two.position + 32, one.position, one.position + 32)
    expect(texts((await openLog(files)).found)).toEqual(['one', 'two'])
  })

  it('is not what a commit lost before the mark in its middle', async () => {
    const files = new CrashFiles(seededRandom(7))
    const { log } = await openLog(files)
    const positions: number[] = []
    for (let index = 0; index < 5; index++) {
      positions.push(log.append('batch', Buffer.alloc(4000)))
      await log.flush()
    }
    const position = log.append('batch', bytes('lost'))
    files.fault = (operation) => (operation === 'remove' ? systemError('EIO') : null)
    await expect(log.dropBelow(positions[4] as number)).rejects.toMatchObject({ code: 'EC_DISK_FAILED' })
    const next = files.restart()
    await forgetReached(next)
    const name = (await segmentNames(next)).sort().findLast((each) => Number.parseInt(each, 10) <= position) as string
    next.flip(name, position - Number.parseInt(name, 10) + headerBytes, 0)
    expect((await openLog(next)).found.at(-1)?.position).toBe(positions[4])
  })

  it('is found in every byte of every record below the newest mark, and named with file and offset', async () => {
    const { files, found } = await logOf([['one'], ['two', 'three']], true)
    for (const { position, text } of found) {
      for (let byte = position; byte < position + headerBytes + text.length; byte++) {
        const damaged = files.clone()
        damaged.flip(first, byte, byte % 8)
        const before = damaged.bytesOf(first).slice()
        await expect(openLog(damaged)).rejects.toMatchObject({
          code: 'EC_LOG_DAMAGED',
          message: expect.stringContaining(`${first} is damaged at byte ${position}`),
          hint: expect.stringContaining('Keep the directory'),
        })
        expect(damaged.bytesOf(first)).toEqual(before)
      }
    }
  })

  it('of the last commit cannot be told from a torn tail when no mark is behind it', async () => {
    const { files, found } = await logOf([['one'], ['two', 'three']])
    files.flip(first, (found[2] as Found).position + 4, 0)
    expect(texts((await openLog(files)).found)).toEqual(['one', 'two'])
  })

  it('is told by a mark in a later segment', async () => {
    const { files } = await logOf([['one'], ...Array.from({ length: 9 }, (_, index) => [`${index}`.padEnd(3000)])])
    files.flip(first, 24 + 16 + 24, 1)
    await expect(openLog(files)).rejects.toMatchObject({ code: 'EC_LOG_DAMAGED' })
  })

  it('is a segment that is missing in the middle, at the beginning, or too short', async () => {
    const { files } = await logOf(Array.from({ length: 12 }, (_, index) => [`${index}`.padEnd(3000)]))
    for (const name of [first, segmentName(8192), segmentName(16_384)]) {
      const without = files.clone()
      await without.remove(name)
      await expect(openLog(without)).rejects.toMatchObject({ code: 'EC_LOG_DAMAGED' })
      const short = files.clone()
      short.truncate(name, 8000)
      await expect(openLog(short)).rejects.toMatchObject({ code: 'EC_LOG_DAMAGED' })
    }
  })

  it('is not seen in a message that holds records of another storage at the very places where they were', async () => {
    for (const seed of [0x5eed, 0x0ff5e7]) {
      const foreign = new CrashFiles(seededRandom(8))
      const other = await openLog(foreign, { ...small, seed })
      const files = new CrashFiles(seededRandom(9))
      const { log } = await openLog(files)
      for (let index = 0; index < 9; index++) {
        other.log.append('batch', bytes('12345678'))
        await other.log.flush()
      }
      const bodyAt = log.append('batch', bytes('one')) + 32 + headerBytes
      log.append('batch', Buffer.from(foreign.bytesOf(first).subarray(bodyAt, 600)))
      await log.flush()
      const next = files.restart()
      await forgetReached(next)
      next.flip(first, 64, 0)
      const opening = openLog(next)
      if (seed === small.seed) await expect(opening).rejects.toMatchObject({ code: 'EC_LOG_DAMAGED' })
      else expect((await opening).found).toEqual([])
    }
  })

  it('is never cut: a record of an unknown kind belongs to a newer version', async () => {
    const { files } = await logOf([['one']])
    const { writeHeader } = await import('../../../broker/log/record.ts')
    const image = files.bytesOf(first)
    writeHeader(Buffer.from(image.buffer), 72, 99 as never, 72, new Uint8Array(0), small.seed ?? 0)
    await expect(openLog(files)).rejects.toMatchObject({ code: 'EC_LOG_FORMAT' })
  })
})

describe('what the page cache showed', () => {
  it('is on disk before recover resolves, though an earlier flush of it had failed', async () => {
    for (let seed = 0; seed < 20; seed++) {
      const files = new CrashFiles(seededRandom(seed))
      const { log } = await openLog(files)
      log.append('batch', bytes('one'))
      await log.flush()
      log.append('batch', bytes('two '.repeat(300)))
      files.fault = (operation) => (operation === 'datasync' ? systemError('EIO') : null)
      await expect(log.flush()).rejects.toMatchObject({ code: 'EC_DISK_FAILED' })
      const restarted = files.restart()
      const { found } = await openLog(restarted)
      expect(found.length).toBe(2)
      const { found: after } = await openLog(restarted.powerLoss())
      expect(after).toEqual(found)
    }
  })
})

describe('power losses', () => {
  /**
   * Appends and flushes at random, loses power in the middle of anything (recovery too), again and again. What was
   * flushed, or shown by a recovery, is found for ever; the rest only as a prefix of what was appended.
   */
  async function live(seed: number): Promise<void> {
    const random = seededRandom(seed)
    let alive = Number.POSITIVE_INFINITY
    const pause = async () => {
      if (--alive < 0) throw systemError('ECRASHED')
      if (random.below(3) === 0) await settled()
    }
    let files = new CrashFiles(random, { pause })
    let durable: Found[] = []
    for (let life = 0; life < 12; life++) {
      let appended: Found[] = []
      const log = new SegmentLog(new Files(files), small)
      alive = 5 + random.below(120)
      try {
        const found: Found[] = []
        await log.recover((kind, body, position) => {
          found.push({ kind, text: Buffer.from(body).toString(), position })
        })
        expect(found.slice(0, durable.length)).toEqual(durable)
        durable = found
        appended = [...found]
        for (let step = 0; step < 60; step++) {
          for (let count = random.below(5); count > 0; count--) {
            const text = `${seed}/${life}/${step}/`.padEnd(random.below(20) === 0 ? 4000 : random.below(700), '.')
            appended.push({ kind: 'batch', text, position: log.append('batch', bytes(text)) })
          }
          const count = appended.length
          const flushed = log.flush().then(() => {
            if (count > durable.length) durable = appended.slice(0, count)
          })
          if (random.below(2) === 0) await flushed
          else flushed.catch(() => {})
          if (random.below(4) === 0) log.idle()
        }
      } catch (error) {
        expect(error).toMatchObject({ code: 'EC_DISK_FAILED' })
      }
      await settled()
      alive = Number.POSITIVE_INFINITY
      files = random.below(4) === 0 ? files.restart() : files.powerLoss()
      const { found } = await openLog(files.clone())
      expect(found.slice(0, durable.length)).toEqual(durable)
      // Nothing appears that was not appended, in that order; what an unfinished recovery had found may still be there.
      if (appended.length > 0) expect(found).toEqual(appended.slice(0, found.length))
    }
  }

  const seeds = Number(process.env.SEEDS ?? 60)
  for (let seed = 0; seed < seeds; seed += 20) {
    it(`lose nothing that was flushed (seeds ${seed} to ${seed + 19})`, async () => {
      for (let each = seed; each < seed + 20; each++) await live(each)
    })
  }
})
