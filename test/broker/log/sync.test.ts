import { describe, expect, it } from 'vitest'
import { Files } from '../../../broker/log/files.ts'
import type { LogOptions } from '../../../broker/log/options.ts'
import { reachedFileName } from '../../../broker/log/reached.ts'
import { SegmentLog } from '../../../broker/log/segment-log.ts'
import { segmentName } from '../../../broker/log/segment-name.ts'
import { mayLack, noteFileName, setAside } from '../../../broker/log/unflushed.ts'
import { parseSync, type Sync, weaker } from '../../../proto/sync.ts'
import { seededRandom } from '../../../sim/seeded-random.ts'
import { CrashFiles, systemError } from '../../../sim/world/crash-files.ts'
import { bytes, describeStore, type Found, recovered } from './conformance.ts'
import { HandTime, settled, small, texts } from './open-log.ts'

/**
 * Goal: what each way to flush puts on disk and when; that the end of the process loses nothing of what was written; that a
 * storage whose machine stopped meanwhile is found out.
 * Method: a simulated disk that counts flushes and loses power; boots of the machine are told apart by a word.
 */

const options = (sync: Sync, boot: string | null = 'monday'): Partial<LogOptions> => ({ ...small, sync, boot })

async function open(files: CrashFiles, sync: Sync, boot: string | null = 'monday') {
  const time = new HandTime()
  const log = new SegmentLog(new Files(files), options(sync, boot), time.after)
  const found: Found[] = await recovered(log)
  await settled()
  return { log, found, time }
}

const newFiles = () => new CrashFiles(seededRandom(3))

for (const sync of ['interval 50', 'memory'] as const) {
  describeStore(`segments, ${sync}, whose process ends`, () => {
    let files = newFiles()
    return {
      open: () => new SegmentLog(new Files(files), options(sync)),
      crash() {
        files = files.restart()
      },
    }
  })

  describe(sync, () => {
    it('answers for batches that are written, and flushes none of them', async () => {
      const files = newFiles()
      const { log } = await open(files, sync)
      const { datasync } = files.counts
      for (let index = 0; index < 30; index++) {
        log.append('batch', bytes('some text '.repeat(40)))
        await log.flush()
        expect(log.dirty).toBe(false)
      }
      expect(files.counts.datasync).toBe(datasync)
      expect(log.writtenTo).toBeGreaterThan(log.flushedTo)
    })

    it('brings every other record to the disk before it answers, and all batches before it', async () => {
      for (const kind of ['protocol', 'staged'] as const) {
        const files = newFiles()
        const { log } = await open(files, sync)
        const written = ['a', 'b', 'c'].map((text) => text.repeat(3000))
        for (const text of written) {
          log.append('batch', bytes(text))
          await log.flush()
        }
        log.append(kind, bytes('promise'))
        log.append('batch', bytes('beside'))
        await log.flush()
        expect(log.flushedTo).toBe(log.writtenTo)
        log.append('batch', bytes('behind'))
        await log.flush()
        expect(log.flushedTo).toBeLessThan(log.writtenTo)
        // What power leaves of it is read as a log of the same boot: all that had been flushed is there.
        const { found } = await open(files.powerLoss(), sync)
        expect(texts(found).slice(0, 5)).toEqual([...written, 'promise', 'beside'])
      }
    })

    it('leaves a note while it runs, before it answers, and takes it away when all is on disk', async () => {
      const files = newFiles()
      const { log } = await open(files, sync)
      expect(await files.list()).toContain(noteFileName)
      log.append('batch', bytes('x'))
      await log.flush()
      await log.close()
      expect(await files.list()).not.toContain(noteFileName)
      const next = files.powerLoss()
      expect(await setAside(new Files(next), 'tuesday', 0)).toBeNull()
      expect(texts((await open(next, sync, 'tuesday')).found)).toEqual(['x'])
    })

    it('keeps everything that was written when its process ends, also in mid-air and under another way to flush', async () => {
      for (const then of ['always', sync] as const) {
        let files = newFiles()
        const { log } = await open(files, sync)
        const expected: string[] = []
        for (let index = 0; index < 12; index++) {
          expected.push(`${index}`.repeat(1500))
          log.append('batch', bytes(expected[index] as string))
          await log.flush()
        }
        files = files.restart()
        expect(await setAside(new Files(files), 'monday', 0)).toBeNull()
        const { log: next, found } = await open(files, then)
        expect(texts(found)).toEqual(expected)
        expect(next.flushedTo).toBe(next.writtenTo)
        // Now it is on disk, note or no note.
        expect((await files.list()).includes(noteFileName)).toBe(then !== 'always')
        const { found: after } = await open(files.powerLoss(), then)
        expect(texts(after)).toEqual(expected)
      }
    })

    it('is another storage when the machine has stopped: the log is set aside, with everything that is left', async () => {
      let files = newFiles()
      const { log } = await open(files, sync)
      log.append('batch', bytes('x'))
      await log.flush()
      files = files.powerLoss()
      await expect(open(files, sync, 'tuesday')).rejects.toMatchObject({ code: 'EC_LOG_DAMAGED' })
      expect(await setAside(new Files(files), 'tuesday', 0)).toEqual({
        sync,
        files: [`${segmentName(0)}.lost-1`, `${segmentName(8192)}.lost-1`, `${reachedFileName}.lost-1`],
      })
      expect((await open(files, sync, 'tuesday')).found).toEqual([])
    })

    it('is another storage after any stop where the machine does not say which boot it is', async () => {
      const files = newFiles()
      await open(files, sync, null)
      expect(await mayLack(new Files(files.restart()), null)).toBe(true)
      expect(await mayLack(new Files(files.restart()), 'monday')).toBe(true)
    })

    it('is another storage after a flush that failed', async () => {
      const files = newFiles()
      const { log } = await open(files, sync)
      log.append('batch', bytes('x'))
      await log.flush()
      files.fault = (operation, name) => (operation === 'datasync' && name.includes('.log') ? systemError('EIO') : null)
      log.append('protocol', bytes('promise'))
      await expect(log.flush()).rejects.toMatchObject({ code: 'EC_DISK_FAILED' })
      await settled()
      expect(await mayLack(new Files(files.restart()), 'monday')).toBe(true)
      await log.close()
      expect(await mayLack(new Files(files.restart()), 'monday')).toBe(true)
    })

    it('keeps its note when closing cannot bring everything to the disk', async () => {
      const files = newFiles()
      const { log } = await open(files, sync)
      log.append('batch', bytes('x'))
      await log.flush()
      files.fault = (operation, name) => (operation === 'datasync' && name.includes('.log') ? systemError('EIO') : null)
      await log.close()
      expect(await files.list()).toContain(noteFileName)
    })
  })
}

describe('interval', () => {
  it('flushes by the clock what was written, and then rests', async () => {
    const files = newFiles()
    const { log, time } = await open(files, 'interval 50')
    for (const text of ['a', 'b', 'c', 'd']) {
      log.append('batch', bytes(text.repeat(3000)))
      await log.flush()
    }
    await time.pass(40)
    expect(log.flushedTo).toBeLessThan(log.writtenTo)
    await time.pass(10)
    expect(log.flushedTo).toBe(log.writtenTo)
    log.idle()
    await settled()
    await time.pass(50)
    const { datasync } = files.counts
    log.idle()
    await settled()
    expect([files.counts.datasync, time.waiting]).toEqual([datasync, 0])
    const { found } = await open(files.powerLoss(), 'interval 50')
    expect(texts(found)).toEqual(['a', 'b', 'c', 'd'].map((text) => text.repeat(3000)))
  })

  it('counts as flushed only what its flush began with, and a promise waits for a flush under way', async () => {
    const gates: (() => void)[] = []
    let gated = false
    const files = new CrashFiles(seededRandom(1), {
      pause: (operation) =>
        gated && operation === 'datasync' ? new Promise((resolve) => gates.push(resolve)) : undefined,
    })
    const { log, time } = await open(files, 'interval 10')
    log.append('batch', bytes('a'))
    await log.flush()
    const afterA = log.writtenTo
    gated = true
    await time.pass(10)
    log.append('batch', bytes('b'))
    await log.flush()
    let isKept = false
    log.append('protocol', bytes('promise'))
    const kept = log.flush().then(() => {
      isKept = true
    })
    await settled()
    expect([gates.length, log.flushedTo < afterA, isKept]).toEqual([1, true, false])
    gates.shift()?.()
    await settled()
    expect([gates.length, log.flushedTo, isKept]).toEqual([1, afterA, false])
    gates.shift()?.()
    await kept
    gated = false
    expect(log.flushedTo).toBe(log.writtenTo)
    const { found } = await open(files.powerLoss(), 'interval 10')
    expect(texts(found)).toEqual(['a', 'b', 'promise'])
  })

  it('begins the next flush as soon as a slow one ends, and never two at once', async () => {
    const gates: (() => void)[] = []
    let gated = false
    const files = new CrashFiles(seededRandom(1), {
      pause: (operation) =>
        gated && operation === 'datasync' ? new Promise((resolve) => gates.push(resolve)) : undefined,
    })
    const { log, time } = await open(files, 'interval 10')
    const write = async (text: string) => {
      log.append('batch', bytes(text))
      await log.flush()
      return log.writtenTo
    }
    gated = true
    const afterA = await write('a')
    await time.pass(10)
    await write('b')
    await time.pass(10)
    const afterC = await write('c')
    await time.pass(100)
    expect([gates.length, time.waiting, log.flushedTo < afterA]).toEqual([1, 0, true])
    gates.shift()?.()
    await settled()
    expect([gates.length, log.flushedTo]).toEqual([1, afterA])
    gates.shift()?.()
    await settled()
    expect([gates.length, log.flushedTo, time.waiting]).toEqual([0, afterC, 0])
  })

  it('stops the server as soon as a flush by the clock fails, without any call', async () => {
    const files = newFiles()
    const { log, time } = await open(files, 'interval 10')
    const told: unknown[] = []
    log.onFailure((error) => told.push(error))
    log.append('batch', bytes('x'))
    await log.flush()
    files.fault = (operation) => (operation === 'datasync' ? systemError('EIO') : null)
    await time.pass(10)
    expect(told).toEqual([expect.objectContaining({ code: 'EC_DISK_FAILED' })])
    expect(() => log.append('batch', bytes('y'))).toThrow(expect.objectContaining({ code: 'EC_DISK_FAILED' }))
    const late: unknown[] = []
    log.onFailure((error) => late.push(error))
    expect([late, time.waiting]).toEqual([told, 0])
  })

  it('flushes by no clock what a promise took to the disk, nor anything once it is closed', async () => {
    const { log, time } = await open(newFiles(), 'interval 10')
    log.append('batch', bytes('a'))
    await log.flush()
    expect(time.waiting).toBe(1)
    log.append('protocol', bytes('promise'))
    await log.flush()
    expect(time.waiting).toBe(0)
    log.append('batch', bytes('b'))
    await log.flush()
    expect(time.waiting).toBe(1)
    await log.close()
    expect(time.waiting).toBe(0)
  })
})

describe('memory', () => {
  it('flushes by no clock, not even a log of many segments', async () => {
    const files = newFiles()
    const { log, time } = await open(files, 'memory')
    const { datasync } = files.counts
    for (let index = 0; index < 100; index++) {
      log.append('batch', Buffer.alloc(4000, index))
      await log.flush()
    }
    expect([files.counts.datasync, time.waiting]).toEqual([datasync, 0])
    log.append('protocol', bytes('promise'))
    await log.flush()
    expect(log.flushedTo).toBe(log.writtenTo)
    const { found } = await open(files.powerLoss(), 'memory')
    expect(found).toHaveLength(101)
  })
})

describe('always', () => {
  it('leaves no note', async () => {
    const files = newFiles()
    const { log } = await open(files, 'always')
    log.append('batch', bytes('x'))
    await log.flush()
    expect(await files.list()).not.toContain(noteFileName)
    expect(log.flushedTo).toBe(log.writtenTo)
  })
})

describe('an old log is set aside', () => {
  it('the same wherever the machine stops while it is done', async () => {
    for (let stopAt = 0; stopAt < 6; stopAt++) {
      let files = newFiles()
      const { log } = await open(files, 'memory')
      log.append('batch', bytes('x'.repeat(4000)))
      await log.flush()
      files = files.powerLoss()
      let count = 0
      files.fault = (operation) => {
        const changes = operation === 'rename' || operation === 'remove' || operation === 'flushDirectory'
        return changes && count++ >= stopAt ? systemError('EIO') : null
      }
      await setAside(new Files(files), 'tuesday', 0).catch(() => {})
      files = files.powerLoss()
      await setAside(new Files(files), 'wednesday', 0)
      const names = await files.list()
      expect(names).not.toContain(noteFileName)
      expect(names.filter((name) => name.endsWith('.log'))).toEqual([])
      expect(names).toContain(`${segmentName(0)}.lost-1`)
    }
  })
})

describe('the word for it', () => {
  it('is taken as people write it, and refused with what is wrong', () => {
    expect(['always', 'memory', 'interval 50', 'interval:50', 'interval=10'].map(parseSync)).toEqual([
      'always',
      'memory',
      'interval 50',
      'interval 50',
      'interval 10',
    ])
    const refusals: readonly [string, RegExp][] = [
      ['interval', /how many milliseconds/],
      ['interval 5', /shorter than 10 ms/],
      ['interval 60001', /longer than 60000 ms/],
      ['never', /no way to flush/],
      ['', /no way to flush/],
      ['interval -5', /no way to flush/],
    ]
    for (const [text, why] of refusals) expect(() => parseSync(text)).toThrow(why)
  })

  it('has an order', () => {
    expect(weaker('always', 'interval 50')).toBe('interval 50')
    expect(weaker('interval 500', 'interval 50')).toBe('interval 500')
    expect(weaker('interval 60000', 'memory')).toBe('memory')
  })
})
