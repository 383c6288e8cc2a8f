// Goal: a cluster on copied directories does not start and says what to do; adopt makes them its home once the originals are gone;
// a server whose files vanish ends. Method: the real command in real processes, on real directories.
import { cpSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { buildCli, freePorts, jsonLines, TestFolder } from './harness.ts'

let place: TestFolder
let port: number
const dev = (data: string) => ['dev', '--servers', '1', '--port', String(port), '--data', data, '--json']

beforeAll(async () => {
  place = new TestFolder(await buildCli())
  port = await freePorts(1)
}, 60_000)
afterAll(() => place.close())

it('refuses a copy, adopts it when the original is gone, and stops when its files vanish', {
  timeout: 60_000,
}, async () => {
  const [original, copy] = [join(place.directory, 'original'), join(place.directory, 'copy')]
  const first = place.start(dev(original))
  await first.shows('}\n')
  const [ready] = jsonLines(first.stdout)
  await first.stop()
  cpSync(original, copy, { recursive: true })

  const refused = await place.run(dev(copy))
  expect(refused.code).toBe(1)
  expect(refused.stderr).toContain('EC_LOG_COPIED')
  expect(refused.stderr).toContain(`epochcast adopt --data ${copy}`)
  const early = await place.run(['adopt', '--data', copy])
  expect(early.code).toBe(1)
  expect(early.stderr).toContain('is still in')
  expect(early.stderr).not.toMatch(/^\s+at /m)
  expect((await place.run(['adopt', '--data', place.directory])).code).toBe(2)

  rmSync(original, { recursive: true })
  const adopted = await place.run(['adopt', '--data', copy])
  expect(adopted.code).toBe(0)
  expect(jsonLines(adopted.stdout)).toEqual([expect.objectContaining({ type: 'adopted', moved: true })])
  const second = place.start(dev(copy))
  await second.shows('}\n')
  expect(jsonLines(second.stdout)[0]?.servers).toEqual(ready?.servers)

  for (const name of readdirSync(join(copy, 'a'))) if (name.endsWith('.log')) rmSync(join(copy, 'a', name))
  const ended = await second.ended
  expect(ended.code).toBe(1)
  expect(ended.stderr).toContain('was removed while the server ran')
  const lacking = await place.run(dev(copy))
  expect(lacking.code).toBe(1)
  expect(lacking.stderr).toContain('EC_LOG_DAMAGED')
})
