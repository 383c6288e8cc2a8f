import { expect, it } from 'vitest'
import { MemoryStore } from '../../../broker/log/memory-store.ts'
import { bytes, describeStore, recovered } from './conformance.ts'

describeStore('memory', () => {
  let current: MemoryStore | null = null
  return {
    open() {
      current = current?.reopen() ?? new MemoryStore()
      return current
    },
    crash() {},
  }
})

/** Goal: a crash test on the memory store can fail. */
it('loses what was not flushed when it is opened again', async () => {
  const store = new MemoryStore()
  await recovered(store)
  store.append('batch', bytes('a'))
  await store.flush()
  store.append('batch', bytes('b'))
  const flushing = store.flush()
  const next = store.reopen()
  await expect(flushing).rejects.toMatchObject({ code: 'EC_CLOSED' })
  expect((await recovered(next)).map(({ text }) => text)).toEqual(['a'])
})
