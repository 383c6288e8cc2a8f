// Goal: a signal has one listener, however many calls it ends, and none once all of them are over. Method: signals that count; calls
// that wait in a client; the source, for listeners beside the one door.
import { readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import { createCluster } from '../../broker/index.ts'
import { onAbort } from '../../proto/aborts.ts'

function counted() {
  const controller = new AbortController()
  const { signal } = controller
  const counts = { added: 0, removed: 0 }
  const [add, remove] = [signal.addEventListener.bind(signal), signal.removeEventListener.bind(signal)]
  signal.addEventListener = ((...given: Parameters<typeof add>) => {
    counts.added++
    add(...given)
  }) as typeof add
  signal.removeEventListener = ((...given: Parameters<typeof remove>) => {
    counts.removed++
    remove(...given)
  }) as typeof remove
  return { controller, signal, counts }
}

describe('a signal', () => {
  it('of a library that does not let go ends nobody', () => {
    const like = Object.assign(new EventTarget(), { aborted: false })
    const stubborn = Object.assign(like, {
      removeEventListener: () => {
        throw new Error('no')
      },
    })
    expect(onAbort(stubborn as unknown as AbortSignal, () => {})).not.toThrow()
  })

  it('calls each of many once, and those alone that were not taken back', () => {
    const { controller, signal, counts } = counted()
    const called: number[] = []
    const undo = Array.from({ length: 20 }, (_, at) => onAbort(signal, () => void called.push(at)))
    const twice = vi.fn()
    onAbort(signal, twice)
    onAbort(signal, twice)
    for (const at of [3, 5]) undo[at]?.()
    undo[3]?.()
    controller.abort()
    expect(called).toHaveLength(18)
    expect(called).not.toContain(3)
    expect(twice).toHaveBeenCalledTimes(2)
    expect(counts.added).toBe(1)
  })

  it('has no listener once all are taken back, and a new one for the next', () => {
    const { controller, signal, counts } = counted()
    for (const undo of [onAbort(signal, () => {}), onAbort(signal, () => {})]) undo()
    expect(counts).toEqual({ added: 1, removed: 1 })
    const run = vi.fn()
    onAbort(signal, run)
    controller.abort()
    expect(run).toHaveBeenCalledOnce()
  })
})

it('calls of a client share one listener', async () => {
  await using cluster = await createCluster({ servers: 1 })
  const client = await cluster.connect()
  const topic = client.topic('t')
  await topic.publish(Buffer.from('x'))
  await cluster.kill('a')
  const { controller, signal, counts } = counted()
  const calls = Array.from({ length: 10 }, () => [
    topic.publish(Buffer.from('y'), { signal }),
    topic.get({ signal }),
    client.admin.topics({ signal }),
  ]).flat()
  const streams = Array.from({ length: 5 }, () => topic.subscribe({ signal }))
  const ended = Promise.allSettled([...calls, ...streams.map((stream) => stream.next())])
  await new Promise((done) => setTimeout(done, 50))
  expect(counts.added).toBe(1)
  controller.abort()
  await ended
})

it('nobody listens for an abort but by the one door', () => {
  const root = resolve(import.meta.dirname, '../..')
  const files = ['proto', 'client-sdk', 'broker'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .map((name) => join(folder, name)),
  )
  const found = files.filter((file) => /addEventListener\(\s*'abort'/.test(readFileSync(join(root, file), 'utf8')))
  expect(found).toEqual([join('proto', 'aborts.ts')])
})
