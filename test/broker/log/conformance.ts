import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Position, type RecordKind, recordKinds, type Store } from '../../../proto/machine/store.ts'

/** One storage under test. */
export interface StoreUnderTest {
  /** A store over it, not recovered yet; the one before it was closed or has crashed. */
  open(): Store
  /** Ends the open store as a crash does: what was not flushed may be gone. */
  crash(): void
}

export interface Found {
  readonly kind: RecordKind
  readonly text: string
  readonly position: Position
}

export const bytes = (text: string) => Buffer.from(text)

export async function recovered(store: Store): Promise<Found[]> {
  const found: Found[] = []
  await store.recover((kind, body, position) => {
    found.push({ kind, text: Buffer.from(body).toString(), position })
  })
  return found
}

/** Goal: every `Store` keeps the contract of its port. Method: the same calls on each, with a crash in between. */
export function describeStore(name: string, make: () => StoreUnderTest): void {
  describe(`store contract: ${name}`, () => {
    let storage: StoreUnderTest
    let store: Store

    beforeEach(async () => {
      storage = make()
      store = storage.open()
      expect(await recovered(store)).toEqual([])
    })
    afterEach(async () => {
      await store.close()
    })

    async function afterCrash(): Promise<Found[]> {
      storage.crash()
      store = storage.open()
      return await recovered(store)
    }

    it('finds every flushed record after a crash, in order, with its kind and position', async () => {
      const expected: Found[] = []
      for (let index = 0; index < 50; index++) {
        const kind = recordKinds[index % recordKinds.length] as RecordKind
        const text = `${index}:`.padEnd(index * 7, 'x')
        expected.push({ kind, text, position: store.append(kind, bytes(text)) })
        if (index % 5 === 0) await store.flush()
      }
      await store.flush()
      expect(await afterCrash()).toEqual(expected)
    })

    it('gives growing positions, also after a crash', async () => {
      const first = store.append('batch', bytes(''))
      const second = store.append('protocol', bytes(''))
      expect(second).toBeGreaterThan(first)
      await store.flush()
      await afterCrash()
      expect(store.append('batch', bytes('c'))).toBeGreaterThan(second)
    })

    it('is dirty from the append until the flush has resolved', async () => {
      expect(store.dirty).toBe(false)
      store.append('batch', bytes('a'))
      expect(store.dirty).toBe(true)
      const flushing = store.flush()
      expect(store.dirty).toBe(true)
      await flushing
      expect(store.dirty).toBe(false)
    })

    it('leaves what is appended during a flush to the next one', async () => {
      store.append('batch', bytes('a'))
      const flushing = store.flush()
      store.append('batch', bytes('b'))
      await flushing
      expect(store.dirty).toBe(true)
      await store.flush()
      expect(store.dirty).toBe(false)
      expect((await afterCrash()).map(({ text }) => text)).toEqual(['a', 'b'])
    })

    it('resolves every flush of a crowd', async () => {
      const flushes: Promise<void>[] = []
      for (let index = 0; index < 20; index++) {
        store.append('batch', bytes(`${index}`))
        flushes.push(store.flush(), store.flush())
        if (index % 3 === 0) await Promise.resolve()
      }
      await Promise.all(flushes)
      expect(store.dirty).toBe(false)
      expect((await afterCrash()).length).toBe(20)
    })

    it('flushes nothing at all without complaint', async () => {
      await store.flush()
      store.idle()
      await store.flush()
      expect(await afterCrash()).toEqual([])
    })

    it('reads a record before and after its flush, and after a crash', async () => {
      const body = bytes('body')
      const position = store.append('batch', body)
      expect(Buffer.from(await store.read(position))).toEqual(body)
      await store.flush()
      expect(Buffer.from(await store.read(position))).toEqual(body)
      await afterCrash()
      expect(Buffer.from(await store.read(position))).toEqual(body)
    })

    it('refuses to read where no record is', async () => {
      const position = store.append('batch', bytes('body'))
      await store.flush()
      const reading = async () => await store.read(position + 8_000_000)
      await expect(reading()).rejects.toMatchObject({ code: 'EC_LOG_DAMAGED' })
    })

    it('takes nothing before recover and after close', async () => {
      storage.crash()
      const fresh = storage.open()
      expect(() => fresh.append('batch', bytes('a'))).toThrow('recovered')
      await fresh.close()
      store = storage.open()
      await recovered(store)
      await store.close()
      expect(() => store.append('batch', bytes('a'))).toThrow('closed')
    })

    it('keeps what was appended when it is closed', async () => {
      store.append('batch', bytes('a'))
      await store.close()
      store = storage.open()
      expect((await recovered(store)).map(({ text }) => text)).toEqual(['a'])
    })
  })
}
