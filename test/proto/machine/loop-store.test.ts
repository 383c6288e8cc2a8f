// Goal: a server whose disk fails while nobody waits for it ends at once. Method: a loop without any input, over the production log on a
// simulated disk, in time by hand.
import { expect, it } from 'vitest'
import { Files } from '../../../broker/log/files.ts'
import { SegmentLog } from '../../../broker/log/segment-log.ts'
import { address, clusterId } from '../../../proto/ids.ts'
import type { Effect, Input, Machine } from '../../../proto/machine/contract.ts'
import { Loop } from '../../../proto/machine/loop.ts'
import { seededRandom } from '../../../sim/seeded-random.ts'
import { CrashFiles, systemError } from '../../../sim/world/crash-files.ts'
import { HandTime, settled, small } from '../../broker/log/open-log.ts'

/** Writes one batch with each call, and is never due. */
const writer: Machine<'write'> = {
  nextDue: null,
  step: (input: Input<'write'>, out: Effect[]) => {
    if (input.kind === 'call') out.push({ kind: 'persist', record: 'batch', bytes: Buffer.from('x') })
  },
}

async function running() {
  const files = new CrashFiles(seededRandom(1))
  const time = new HandTime()
  const log = new SegmentLog(new Files(files), { ...small, sync: 'interval 50', boot: 'monday' }, time.after)
  await log.recover(() => {})
  const failures: unknown[] = []
  const loop = new Loop<'write'>({
    machine: writer,
    name: 'x',
    cluster: () => clusterId('00000000-0000-4000-8000-000000000001'),
    store: log,
    onFatal: (error) => failures.push(error),
    timers: { soon: (run) => run(), after: time.after, nowMs: () => 0 },
  })
  const start = () => loop.start({ address: address('x'), send: () => {}, framesLost: 0, close: async () => {} })
  const fail = () => {
    files.fault = (operation) => (operation === 'datasync' ? systemError('EIO') : null)
  }
  return { time, log, loop, failures, start, fail }
}

const diskFailed = [expect.objectContaining({ code: 'EC_DISK_FAILED' })]

it('when a flush by the clock fails, without any turn', async () => {
  const { time, loop, failures, start, fail } = await running()
  start()
  loop.call('write')
  await time.pass(40)
  fail()
  expect(failures).toEqual([])
  await time.pass(10)
  expect(failures).toEqual(diskFailed)
  expect(time.waiting).toBe(0)
})

it('when it had failed before the loop began', async () => {
  const { time, log, failures, start, fail } = await running()
  log.append('batch', Buffer.from('x'))
  await log.flush()
  fail()
  await time.pass(50)
  start()
  await settled()
  expect(failures).toEqual(diskFailed)
})

it('wakes up for nothing once everything is on disk', async () => {
  const { time, loop, start, failures } = await running()
  start()
  loop.call('write')
  await time.pass(1_000)
  expect([time.waiting, failures]).toEqual([0, []])
})
