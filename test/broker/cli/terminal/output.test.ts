// Goal: output that can't be written is noticed once, and nobody who waits for it waits for ever.
// Method: a stream that takes nothing, takes it late, or fails.
import { Writable } from 'node:stream'
import { expect, it } from 'vitest'
import { Output, type OutputLost } from '../../../../broker/cli/terminal/output.ts'

const turn = () => new Promise((resolve) => setImmediate(resolve))

function stream(write: (chunk: Buffer, done: (error?: Error | null) => void) => void): NodeJS.WriteStream {
  const made = new Writable({ highWaterMark: 1, write: (chunk: Buffer, _, done) => write(chunk, done) })
  return made as unknown as NodeJS.WriteStream
}

function failure(code: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: no`), { code })
}

it('writes what comes in one turn at once', async () => {
  const chunks: string[] = []
  const output = new Output(
    stream((chunk, done) => {
      chunks.push(chunk.toString())
      done()
    }),
  )
  output.line('one')
  output.json({ two: 2 })
  await output.end()
  expect(chunks.join('')).toBe('one\n{"two":2}\n')
  expect(chunks[0]).toBe('one\n{"two":2}\n')
  expect(output.lost).toBeNull()
})

it.each(['EPIPE', 'ENOSPC', 'EIO'])('says once that it is lost: %s', async (code) => {
  const lost: OutputLost[] = []
  const output = new Output(
    stream((_, done) => done(failure(code))),
    (error) => lost.push(error),
  )
  output.line('one')
  await output.end()
  await turn()
  output.line('two')
  await output.end()
  expect(lost.map((error) => error.code)).toEqual([code])
  expect(output.lost?.message).toContain(code)
})

it('lets nobody wait for a stream that failed meanwhile', async () => {
  let fail: (error?: Error | null) => void = () => {}
  const output = new Output(stream((_, done) => (fail = done)))
  output.line('one')
  output.flush()
  const waiting = Promise.all([output.drained(), output.end()])
  fail(failure('EPIPE'))
  await waiting
  expect(output.lost?.code).toBe('EPIPE')
})
