// Goal: who flushes later than acknowledging is named wherever an acknowledgement is shown; the end of a process loses nothing;
// a server whose machine has stopped is another one. Method: the real command; another boot of the machine is played by the note
// that a running server leaves in its directory.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { buildCli, freePorts, jsonLines, lines, type Running, TestFolder } from './harness.ts'

let place: TestFolder
let port: number
let url: string
let running: Running

const epochcast = (...args: string[]) => place.run(args, { url })
const dev = ['dev', '--servers', '3', '--sync', 'interval 50']

async function start(): Promise<void> {
  running = place.start([...dev, '--port', String(port)])
  await running.shows('Ctrl-C')
}

beforeAll(async () => {
  place = new TestFolder(await buildCli())
  port = await freePorts(3)
  url = `epochcast://127.0.0.1:${port}`
  await start()
})

afterAll(() => place.close())

it('refuses what is no way to flush, before anything starts', async () => {
  for (const command of [['dev'], ['serve', '--id', 'x', '--data', 'x', '--listen', '127.0.0.1:9']]) {
    for (const [given, why] of [
      ['interval', 'does not say how many milliseconds'],
      ['interval 5', 'shorter than 10 ms'],
      ['sometimes', 'is no way to flush'],
    ] as const) {
      const refused = await epochcast(...command, '--sync', given)
      expect(refused).toMatchObject({ code: 2, stdout: '' })
      expect(refused.stderr).toContain(why)
      expect(refused.stderr).toContain('always, interval <milliseconds> from 10 to 60000, or memory')
    }
  }
})

it('says what acknowledgements mean: at the start, with each of them, and to whoever looks', async () => {
  expect(running.stderr).toContain('warning: sync: interval 50: messages are acknowledged when they are written')
  expect((await epochcast('pub', 't', 'one')).stdout).toMatch(/^1-\w+-1 durable \(sync: interval 50\)\n$/)
  expect(jsonLines((await epochcast('pub', 't', 'two', '--json')).stdout)[0]).toMatchObject({ sync: 'interval 50' })
  const [servers, topics, info, status, health] = await Promise.all([
    epochcast('servers', '--json'),
    epochcast('topics', '--json'),
    epochcast('topics', 'info', 't', '--json'),
    epochcast('status', 't', '--json'),
    epochcast('doctor', '--json'),
  ])
  expect(jsonLines(servers.stdout).map(({ sync }) => sync)).toEqual(['interval 50', 'interval 50', 'interval 50'])
  for (const { stdout } of [topics, info, status]) expect(jsonLines(stdout)[0]).toMatchObject({ sync: 'interval 50' })
  const findings = jsonLines(health.stdout).filter(({ verdict }) => verdict === 'warn')
  expect(findings.map(({ about }) => about)).toEqual(['server a', 'server b', 'server c', 'topic t'])
  expect(String(findings.at(-1)?.text)).toContain('if the machines of 2 of them stop at once, the topic is lost')
  expect(health.code).toBe(0)
})

it('loses nothing with its process', async () => {
  const before = await epochcast('servers', '--json')
  await running.stop('SIGKILL')
  await start()
  expect(running.stdout).toContain('same cluster as before')
  expect(names(await epochcast('servers', '--json'))).toEqual(names(before))
  expect(lines((await epochcast('get', 't')).stdout)).toEqual(['one', 'two'])
})

it('is another server after its machine has stopped, and the others go on', async () => {
  const before = names(await epochcast('servers', '--json'))
  await running.stop('SIGKILL')
  const note = join(place.directory, 'data/b/unflushed.json')
  const text = readFileSync(note, 'utf8')
  writeFileSync(note, text.replace(/"boot":"[^"]*"/, '"boot":"00000000-0000-0000-0000-000000000000"'))
  expect(readFileSync(note, 'utf8')).not.toBe(text)
  await start()
  expect(running.stderr).toContain('before all that b had acknowledged was on disk (sync: interval 50)')
  expect(running.stderr).toContain('its old log is kept in data/b: 00000000000000000000.log.lost-1')
  const after = names(await epochcast('servers', '--json'))
  expect([after[0], after[2]]).toEqual([before[0], before[2]])
  expect(after[1]).not.toBe(before[1])
  expect(lines((await epochcast('get', 't')).stdout)).toEqual(['one', 'two'])
})

it('leaves nothing behind when it is stopped as it should be', async () => {
  await running.stop('SIGTERM')
  running = place.start(['dev', '--servers', '3', '--port', String(port), '--json'])
  await running.shows('}\n')
  expect(jsonLines(running.stdout)[0]).toMatchObject({ ready: true, created: false, sync: 'always' })
  expect(jsonLines((await epochcast('pub', 't', 'three', '--json')).stdout)[0]).not.toHaveProperty('sync')
  expect(lines((await epochcast('get', 't')).stdout)).toEqual(['one', 'two', 'three'])
})

function names({ stdout }: { stdout: string }): unknown[] {
  return jsonLines(stdout)
    .sort((one, other) => (String(one.id) < String(other.id) ? -1 : 1))
    .map(({ name }) => name)
}
