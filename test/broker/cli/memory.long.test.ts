// Goal: a stopped subscriber and a publisher at full speed leave the memory of the servers flat. Method: real servers in a process of
// their own, whose resident memory is read from the system at a third and at the end of what is published.
import { existsSync, readFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { connect } from '../../../client-sdk/index.ts'
import { buildCli, freePorts, type Running, TestFolder } from './harness.ts'

let place: TestFolder
let dev: Running
let url: string

const mebibyte = 1024 * 1024
const message = Buffer.alloc(16 * 1024, 7)

beforeAll(async () => {
  place = new TestFolder(await buildCli())
  const port = await freePorts(3)
  dev = place.start(['dev', '--port', String(port), '--json'])
  await dev.shows('}\n')
  url = `epochcast://127.0.0.1:${port}`
})

afterAll(() => place.close())

function residentBytes(): number {
  const status = readFileSync(`/proc/${dev.child.pid}/status`, 'utf8')
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) * 1024
}

it.runIf(existsSync('/proc/self/status'))('servers keep nothing for a reader that stops', async () => {
  await using publisher = await connect(url)
  await using reader = await connect(url)
  const topic = publisher.topic('flood')
  await topic.publish(message)
  const stopped = reader.topic('flood').subscribe({ from: 'start' })
  await stopped.next()
  const publish = async (bytes: number) => {
    for (let sent = 0; sent < bytes; sent += message.length * 64) {
      await topic.publishMany(Array.from({ length: 64 }, () => message))
    }
  }
  await publish(48 * mebibyte)
  const before = residentBytes()
  await publish(96 * mebibyte)
  const after = residentBytes()
  // 288 MiB went onto three disks in between; what is kept for a reader would be at least 96.
  expect(after - before).toBeLessThan(64 * mebibyte)
})
