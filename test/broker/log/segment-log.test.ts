import { cpSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { DiskFiles } from '../../../broker/log/disk-files.ts'
import { Files } from '../../../broker/log/files.ts'
import { SegmentLog } from '../../../broker/log/segment-log.ts'
import { segmentName } from '../../../broker/log/segment-name.ts'
import { seededRandom } from '../../../sim/seeded-random.ts'
import { CrashFiles, systemError } from '../../../sim/world/crash-files.ts'
import { bytes, describeStore } from './conformance.ts'
import { HandTime, openLog, segmentNames, settled, small, texts } from './open-log.ts'

/** Goal: order of commits, segments, the cache, failures and the reserve. Method: a simulated disk that counts and fails. */

describeStore('segments on a simulated disk', () => {
  let files = new CrashFiles(seededRandom(1))
  return {
    open: () => new SegmentLog(new Files(files), small),
    crash() {
      files = files.powerLoss()
    },
  }
})

const temporary = mkdtempSync(join(tmpdir(), 'epochcast-log-'))
afterAll(() => rmSync(temporary, { recursive: true }))

describeStore('segments on the disk', () => {
  let path = mkdtempSync(join(temporary, 'log-'))
  return {
    open: () => new SegmentLog(new Files(new DiskFiles(path)), small),
    crash() {
      // The log before may still be making a segment: the next one gets a copy.
      const next = mkdtempSync(join(temporary, 'log-'))
      for (const name of readdirSync(path)) if (!name.endsWith('.new')) cpSync(join(path, name), join(next, name))
      path = next
    },
  }
})

const simulated = (capacityBytes?: number) =>
  new CrashFiles(seededRandom(1), capacityBytes === undefined ? {} : { capacityBytes })

describe('group commit', () => {
  it('keeps one commit in flight, and everything appended meanwhile goes with the next', async () => {
    const gates: (() => void)[] = []
    let gated = false
    const files = new CrashFiles(seededRandom(1), {
      pause: () => (gated ? new Promise<void>((resolve) => gates.push(resolve)) : Promise.resolve()),
    })
    const release = () => {
      for (const gate of gates.splice(0)) gate()
    }
    const { log } = await openLog(files)
    await settled()
    gated = true
    const { writev, datasync } = { ...files.counts }
    const order: string[] = []
    log.append('batch', bytes('a'))
    const flushes = [log.flush().then(() => order.push('a'))]
    for (const text of ['b', 'c', 'd']) {
      log.append('batch', bytes(text))
      flushes.push(log.flush().then(() => order.push(text)))
    }
    await settled()
    expect(files.counts.writev).toBe(writev + 1)
    while (order.length < 4) {
      release()
      await settled()
    }
    await Promise.all(flushes)
    expect(order).toEqual(['a', 'b', 'c', 'd'])
    // Beside each commit the note of how far the log reached is written.
    expect([files.counts.writev - writev, files.counts.datasync - datasync]).toEqual([4, 2])
    gated = false
    release()
    await log.close()
  })

  it('copies a body: its memory may be used again at once', async () => {
    const files = simulated()
    const { log } = await openLog(files)
    const body = Buffer.alloc(2000, 'x')
    const position = log.append('batch', body)
    body.fill('y')
    expect(await log.read(position)).toEqual(Buffer.alloc(2000, 'x'))
  })

  it('never changes what it gave out, however much is appended after', async () => {
    const { log } = await openLog(simulated(256 * 1024 * 1024), { cacheBytesMax: 128 * 1024 })
    const given: Uint8Array[] = []
    for (let turn = 0; turn < 300; turn++) {
      const position = log.append('batch', Buffer.alloc(5000, turn % 251))
      if (turn % 7 === 0) given.push((await log.read(position)) as Uint8Array)
      await log.flush()
    }
    for (const [index, body] of given.entries()) expect(body).toEqual(Buffer.alloc(5000, (index * 7) % 251))
  })

  it('writes a mark alone when idle, once', async () => {
    const files = simulated()
    const { log } = await openLog(files)
    log.idle()
    await settled()
    const before = log.flushedTo
    log.append('batch', bytes('a'))
    await log.flush()
    const { datasync } = files.counts
    const after = log.flushedTo
    for (let turn = 0; turn < 3; turn++) {
      log.idle()
      await settled()
    }
    expect(before).toBe(0)
    expect(log.flushedTo - after).toBe(40)
    expect(files.counts.datasync).toBe(datasync + 1)
  })
})

describe('segments', () => {
  it('go on in the next file when a record does not fit; every record is found and read, whatever its size', async () => {
    const files = simulated()
    const { log } = await openLog(files)
    const written = new Map<number, string>()
    for (let index = 0; index < 300; index++) {
      const text = `${index}:`.padEnd((index * 131) % 4097, '.')
      written.set(log.append(index % 3 === 0 ? 'protocol' : 'batch', bytes(text)), text)
      if (index % 7 === 0) await log.flush()
    }
    await log.flush()
    for (const [position, text] of written) expect(Buffer.from(await log.read(position)).toString()).toBe(text)
    await log.close()
    const names = (await segmentNames(files)).sort()
    expect(names.length).toBeGreaterThan(60)
    expect(names.every((name, index) => name === segmentName(index * 8192))).toBe(true)
    const { found } = await openLog(files.powerLoss())
    expect(new Map(found.map(({ position, text }) => [position, text]))).toEqual(written)
  })

  it('take one commit that spans several of them', async () => {
    const files = simulated()
    const { log } = await openLog(files)
    for (let index = 0; index < 20; index++) log.append('batch', Buffer.alloc(3000, `${index % 10}`))
    await log.flush()
    const { found } = await openLog(files.powerLoss())
    expect(found.length).toBe(20)
  })

  it('are made before they are needed', async () => {
    const files = simulated()
    const { log } = await openLog(files)
    await settled()
    expect((await segmentNames(files)).sort()).toEqual([segmentName(0), segmentName(8192)])
    await log.close()
  })

  it('may have another size than at the last start', async () => {
    let files = simulated()
    const expected: string[] = []
    for (const segmentBytes of [8192, 16_384, 8192, 32_768]) {
      const { log, found } = await openLog(files, { ...small, segmentBytes })
      expect(texts(found)).toEqual(expected)
      for (let index = 0; index < 17; index++) {
        expected.push(`${segmentBytes}/${index}`.padEnd(1500))
        log.append('batch', bytes(expected.at(-1) as string))
        await log.flush()
      }
      files = files.powerLoss()
    }
  })

  it('are given back below a position, oldest first, and the log still opens', async () => {
    const files = simulated()
    const { log } = await openLog(files)
    const positions: number[] = []
    for (let index = 0; index < 20; index++) {
      positions.push(log.append('batch', bytes(`${index}`.padEnd(3000))))
      await log.flush()
    }
    await log.dropBelow(positions[10] as number)
    await expect(log.read(positions[0] as number)).rejects.toMatchObject({ code: 'EC_LOG_DAMAGED' })
    await log.close()
    const { log: again, found } = await openLog(files.powerLoss())
    expect(found.at(0)?.position).toBeLessThanOrEqual(positions[10] as number)
    expect(found.at(0)?.position).toBeGreaterThan(positions[7] as number)
    expect(found.at(-1)?.position).toBe(positions[19])
    await again.close()
  })

  it('refuse a record above the limit and take one at the limit', async () => {
    const { log } = await openLog(simulated())
    log.append('batch', Buffer.alloc(4096))
    expect(() => log.append('batch', Buffer.alloc(4097))).toThrow(
      expect.objectContaining({ code: 'EC_MESSAGE_TOO_LARGE' }),
    )
  })

  it('refuse options that cannot work', () => {
    const make = (options: object) => () => new SegmentLog(new Files(simulated()), { ...small, ...options })
    expect(make({ segmentBytes: 8000 })).toThrow(expect.objectContaining({ code: 'EC_BAD_ARGUMENT' }))
    expect(make({ recordBytesMax: 8192 })).toThrow(expect.objectContaining({ code: 'EC_BAD_ARGUMENT' }))
    expect(make({ sizeBytesMax: 20_000 })).toThrow(expect.objectContaining({ code: 'EC_BAD_ARGUMENT' }))
  })
})

describe('reading from the disk', () => {
  it('finds a flipped bit in every byte of a record', async () => {
    const files = simulated()
    const { log } = await openLog(files, { ...small, cacheBytesMax: 0 })
    const position = log.append('batch', bytes('precious'))
    await log.flush()
    for (let byte = 0; byte < 24 + 8; byte++) {
      files.flip(segmentName(0), position + byte, byte % 8)
      await expect(log.read(position)).rejects.toMatchObject({
        code: 'EC_LOG_DAMAGED',
        message: expect.stringContaining(`${segmentName(0)} is damaged at byte ${position}`),
      })
      files.flip(segmentName(0), position + byte, byte % 8)
    }
    expect(Buffer.from(await log.read(position)).toString()).toBe('precious')
  })

  it('keeps what is not flushed in memory, whatever its size', async () => {
    const { log } = await openLog(simulated(), { ...small, cacheBytesMax: 0 })
    const positions = Array.from({ length: 10 }, () => log.append('batch', Buffer.alloc(1000)))
    for (const position of positions) expect(log.read(position)).toBeInstanceOf(Uint8Array)
    await log.flush()
    for (const position of positions) expect(log.read(position)).toBeInstanceOf(Promise)
  })
})

describe('a failing disk', () => {
  for (const operation of ['writev', 'datasync', 'create', 'rename', 'flushDirectory'] as const) {
    it(`is final at every ${operation}: nothing is acknowledged after it, and no flush is tried again`, async () => {
      for (let nth = 1; nth <= 4; nth++) {
        const files = simulated()
        const { log } = await openLog(files)
        await settled()
        let calls = 0
        files.fault = (op) => (op === operation && ++calls === nth ? systemError('EIO') : null)
        const acknowledged: string[] = []
        let failed = 0
        for (let index = 0; index < 40; index++) {
          const text = `${index}`.padEnd(1800)
          try {
            log.append('batch', bytes(text))
            await log.flush()
            expect(failed).toBe(0)
            acknowledged.push(text)
          } catch (error) {
            expect(error).toMatchObject({ code: 'EC_DISK_FAILED', retryable: false })
            failed++
          }
          await settled()
        }
        expect(failed).toBeGreaterThan(0)
        const { datasync } = files.counts
        expect(() => log.append('protocol', bytes('x'))).toThrow(expect.objectContaining({ code: 'EC_DISK_FAILED' }))
        await expect(log.flush()).rejects.toMatchObject({ code: 'EC_DISK_FAILED' })
        log.idle()
        await settled()
        expect(files.counts.datasync).toBe(datasync)
        await log.close()
        const { found } = await openLog(files.powerLoss())
        expect(texts(found).slice(0, acknowledged.length)).toEqual(acknowledged)
      }
    })
  }

  it('rejects the flush that waits behind the failing one', async () => {
    const files = simulated()
    const { log } = await openLog(files)
    log.append('batch', bytes('a'))
    files.fault = (op) => (op === 'datasync' ? systemError('EIO') : null)
    const first = log.flush()
    log.append('batch', bytes('b'))
    const second = log.flush()
    await expect(first).rejects.toMatchObject({ code: 'EC_DISK_FAILED', cause: { code: 'EIO' } })
    await expect(second).rejects.toMatchObject({ code: 'EC_DISK_FAILED' })
    expect(log.dirty).toBe(true)
  })

  it('does not start a log that it cannot write again', async () => {
    const files = simulated()
    const { log } = await openLog(files)
    log.append('batch', bytes('a'))
    await log.flush()
    const next = files.restart()
    next.fault = (op) => (op === 'datasync' ? systemError('EIO') : null)
    await expect(openLog(next)).rejects.toMatchObject({ code: 'EC_DISK_FAILED' })
  })
})

describe('a full disk', () => {
  async function fill(log: SegmentLog, kind: 'batch' | 'staged' | 'protocol'): Promise<number> {
    for (let count = 0; ; count++) {
      try {
        log.append(kind, Buffer.alloc(1000))
      } catch (error) {
        expect(error).toMatchObject({ code: 'EC_DISK_FULL', retryable: true })
        return count
      }
      await log.flush()
      await settled()
      if (count > 200) return count
    }
  }

  it('refuses batches and staged bodies at the reserve; protocol records still go, also after a restart', async () => {
    let files = simulated(8192 * 6 + 64)
    const { log } = await openLog(files)
    expect(await fill(log, 'batch')).toBeGreaterThan(20)
    expect(await fill(log, 'staged')).toBe(0)
    for (let index = 0; index < 12; index++) {
      log.append('protocol', Buffer.alloc(500))
      await log.flush()
      expect(() => log.append('batch', Buffer.alloc(1000))).toThrow(expect.objectContaining({ code: 'EC_DISK_FULL' }))
    }
    await log.close()
    files = files.powerLoss()
    const { log: again } = await openLog(files)
    expect(await fill(again, 'batch')).toBe(0)
    again.append('protocol', Buffer.alloc(500))
    await again.flush()
    await again.close()
  })

  it('takes batches again when there is space again', async () => {
    const files = simulated(8192 * 40)
    files.foreignBytes = 8192 * 34
    const { log } = await openLog(files)
    const before = await fill(log, 'batch')
    files.foreignBytes = 8192 * 30
    await fill(log, 'batch')
    await settled()
    expect(await fill(log, 'batch')).toBeGreaterThan(before / 2)
    await log.close()
  })

  it('takes everything that was admitted, however much one turn brings', async () => {
    const files = simulated(8192 * 8)
    const { log } = await openLog(files)
    const body = Buffer.alloc(3000)
    for (let turn = 0; turn < 20; turn++) {
      let admitted = 0
      while (admitted < 50 && log.admits(body.length)) admitted++
      for (let index = 0; index < admitted; index++) log.append(index % 2 === 0 ? 'batch' : 'staged', body)
      log.append('protocol', Buffer.alloc(20))
      await log.flush()
      await settled()
    }
    expect(log.full).toBe(true)
    await log.close()
  })

  it('notices space by itself, without any batch that asks for it', async () => {
    const files = simulated(8192 * 40)
    files.foreignBytes = 8192 * 36
    const time = new HandTime()
    const { log } = await openLog(files, small, time.after)
    await fill(log, 'batch')
    expect([log.full, time.waiting]).toEqual([true, 1])
    await time.pass(2_000)
    expect([log.full, time.waiting]).toEqual([true, 1])
    files.foreignBytes = 0
    await time.pass(500)
    expect([time.waiting, log.admits(1000)]).toEqual([0, true])
    await log.close()
  })

  it('looks for space no longer once it is closed', async () => {
    const time = new HandTime()
    const { log } = await openLog(simulated(8192 * 8), small, time.after)
    await fill(log, 'batch')
    expect(time.waiting).toBe(1)
    await log.close()
    expect(time.waiting).toBe(0)
  })

  it('keeps a part of what it has made for protocol records, where others fill the disk', async () => {
    const files = simulated(8192 * 40)
    const { log } = await openLog(files)
    log.append('batch', Buffer.alloc(1000))
    await log.flush()
    await settled()
    files.foreignBytes = 8192 * 40
    await fill(log, 'batch')
    for (let index = 0; index < 3; index++) {
      log.append('protocol', Buffer.alloc(500))
      await log.flush()
    }
    await log.close()
  })

  it('goes on with what it has while no file can be opened, and makes segments again later', async () => {
    const files = simulated()
    const time = new HandTime()
    const { log } = await openLog(files, small, time.after)
    files.fault = (op) => (op === 'create' ? systemError('EMFILE') : null)
    await fill(log, 'batch')
    expect(log.full).toBe(true)
    files.fault = () => null
    await time.pass(500)
    expect([log.full, time.waiting]).toEqual([false, 0])
    await log.close()
  })

  it('keeps the reserve within a bound of its own', async () => {
    const files = simulated()
    const { log } = await openLog(files, { ...small, sizeBytesMax: 8192 * 6 })
    await fill(log, 'batch')
    expect(log.sizeBytes).toBe(8192 * 4)
    log.append('protocol', Buffer.alloc(4000))
    log.append('protocol', Buffer.alloc(4000))
    await log.flush()
    await log.close()
  })

  it('stops the log only when protocol records find no space at all', async () => {
    const files = simulated(8192 * 6)
    const { log } = await openLog(files)
    await expect(fill(log, 'protocol')).rejects.toMatchObject({ code: 'EC_DISK_FULL', cause: { code: 'ENOSPC' } })
  })
})
