/**
 * A small data directory of a real server, damaged in every way that is small: each bit of each file flipped, each file cut at
 * each length. A server that is started on it either refuses by name, or has exactly what was there (fault D5, D2; design 7).
 */
import { Files } from '../../broker/log/files.ts'
import { readIdentity, writeIdentity } from '../../broker/log/identity.ts'
import { SegmentLog } from '../../broker/log/segment-log.ts'
import { parseSegmentName } from '../../broker/log/segment-name.ts'
import { ServerMachine } from '../../broker/server-machine.ts'
import { EpochcastError, type ErrorCode } from '../../proto/errors.ts'
import { address, serverId, serverName } from '../../proto/ids.ts'
import type { Position, RecordKind } from '../../proto/machine/store.ts'
import { seededRandom } from '../seeded-random.ts'
import { CrashFiles } from '../world/crash-files.ts'
import { World } from '../world/world.ts'

interface Kept {
  readonly kind: RecordKind
  readonly position: Position
  readonly body: string
}

export interface CorruptionResult {
  readonly bits: number
  readonly truncations: number
  readonly reads: number
  /** How it was found out, or that it did no harm, so often. */
  readonly verdicts: Readonly<Record<string, number>>
  readonly violations: readonly string[]
}

export interface CorruptionOptions {
  /** One of so many bits, lengths and reads; 1 for all. */
  readonly every: number
  readonly progress?: (done: number, of: number) => void
}

const refusals: readonly ErrorCode[] = ['EC_LOG_DAMAGED', 'EC_LOG_FORMAT', 'EC_LOG_FOREIGN']
/** What the world calls the first storage. */
const storage = '00000000-0000-4000-8000-000000000001'
const options = {
  segmentBytes: 8192,
  recordBytesMax: 4096,
  cacheBytesMax: 0,
  diskReserveBytes: 16_384,
  seed: 0x0b5e_55ed,
}
const violationsMax = 20

export async function corruptEverything({ every, progress }: CorruptionOptions): Promise<CorruptionResult> {
  const { files, intact, end } = await makeDirectory()
  const verdicts: Record<string, number> = {}
  const violations: string[] = []
  const count = { bits: 0, truncations: 0, reads: 0 }
  const judge = async (what: string, damaged: CrashFiles): Promise<void> => {
    const verdict = await startOn(damaged, intact, end)
    verdicts[verdict.name] = (verdicts[verdict.name] ?? 0) + 1
    if (verdict.wrong !== null && violations.length < violationsMax) violations.push(`${what}: ${verdict.wrong}`)
  }
  const names = (await files.list()).sort()
  const total = names.reduce((sum, name) => sum + files.bytesOf(name).length * 9, 0) / every
  let done = 0
  let turn = 0
  const isDue = () => turn++ % every === 0
  for (const name of names) {
    const { length } = files.bytesOf(name)
    for (let bit = 0; bit < length * 8; bit++) {
      if (!isDue()) continue
      const damaged = files.clone()
      damaged.flip(name, bit >> 3, bit & 7)
      await judge(`bit ${bit & 7} of byte ${bit >> 3} of ${name} flipped`, damaged)
      count.bits++
      progress?.(++done, total)
    }
    for (let bytes = 0; bytes < length; bytes++) {
      if (!isDue()) continue
      const damaged = files.clone()
      damaged.truncate(name, bytes)
      await judge(`${name} cut at ${bytes}`, damaged)
      count.truncations++
      progress?.(++done, total)
    }
  }
  count.reads = await corruptUnderneath(files, intact, every, (text) => {
    if (violations.length < violationsMax) violations.push(text)
  })
  return { ...count, verdicts, violations }
}

/** What a server has on disk after adds, an epoch change, a wedge that is not over, and an idle moment. */
async function makeDirectory(): Promise<{ files: CrashFiles; intact: readonly Kept[]; end: Position }> {
  const world = new World({ seed: 11, keepTrace: false })
  world.bootstrap(['a', 'b', 'c'], ['a', 'b', 'c'])
  const client = world.client('x')
  client.create('t', { members: ['a', 'b', 'c'], mode: 'fault-masking' })
  world.tick(10)
  for (const value of ['one', 'two', 'three'.repeat(60)]) client.add('t', value, 'republish')
  world.tick(10)
  client.reconfigure('t', { by: ['b'], changeId: 'r1', epoch: 1, members: ['a', 'b', 'c'] })
  world.tick(60)
  client.add('t', 'four', 'republish')
  world.tick(10)
  const records = world.server('a').disk?.records ?? []
  const files = new CrashFiles(seededRandom(3))
  await writeIdentity(new Files(files), { server: serverId('a'), storage, seed: options.seed, place: null })
  const log = new SegmentLog(new Files(files), options)
  await log.recover(() => {})
  for (const { kind, body } of records) {
    log.append(kind, body)
    await log.flush()
  }
  // Closing it leaves a mark behind the last record: from here on everything counts as flushed.
  await log.close()
  const next = files.restart()
  const { kept, flushedTo } = await recoverFrom(next.clone())
  if (kept.length !== records.length) throw new Error(`${kept.length} of ${records.length} records were recovered`)
  return { files: next, intact: kept, end: flushedTo }
}

async function recoverFrom(files: CrashFiles): Promise<{ kept: Kept[]; bodies: Uint8Array[]; flushedTo: Position }> {
  const identity = await readIdentity(new Files(files))
  if (identity === null) {
    const hasLog = (await files.list()).some((name) => parseSegmentName(name) !== null)
    throw new EpochcastError(hasLog ? 'EC_LOG_DAMAGED' : 'EC_LOG_FORMAT', 'the identity is missing')
  }
  const log = new SegmentLog(new Files(files), { ...options, seed: identity.seed })
  const kept: Kept[] = []
  const bodies: Uint8Array[] = []
  await log.recover((kind, body, position) => {
    kept.push({ kind, position, body: Buffer.from(body).toString('latin1') })
    bodies.push(body)
  })
  const { flushedTo } = log
  await log.close()
  return { kept, bodies, flushedTo }
}

async function startOn(
  files: CrashFiles,
  intact: readonly Kept[],
  end: Position,
): Promise<{ readonly name: string; readonly wrong: string | null }> {
  try {
    const { kept, bodies, flushedTo } = await recoverFrom(files)
    const machine = newMachine()
    for (const [at, { kind, position }] of kept.entries()) machine.recover(kind, bodies[at] as Uint8Array, position)
    const strange = kept.findIndex((one, at) => one.body !== intact[at]?.body || one.position !== intact[at]?.position)
    if (strange >= 0) return { name: 'violation', wrong: `record ${strange} is another one than was written` }
    if (kept.length === intact.length && flushedTo >= end) return { name: 'harmless', wrong: null }
    return {
      name: 'violation',
      wrong: `${kept.length} of ${intact.length} records are left, up to ${flushedTo} of ${end}`,
    }
  } catch (error) {
    if (error instanceof EpochcastError && refusals.includes(error.code)) return { name: error.code, wrong: null }
    return { name: 'violation', wrong: `not refused by name: ${String(error)}` }
  }
}

/** Bits that flip under a running server: what is read is what was written, or refused. @returns how many reads */
async function corruptUnderneath(
  files: CrashFiles,
  intact: readonly Kept[],
  every: number,
  violated: (text: string) => void,
): Promise<number> {
  const running = files.clone()
  const log = new SegmentLog(new Files(running), options)
  await log.recover(() => {})
  let reads = 0
  for (const [at, { position, body }] of intact.entries()) {
    const name = (await running.list()).filter((one) => (parseSegmentName(one) ?? Number.POSITIVE_INFINITY) <= position)
    const segment = name.sort().at(-1) ?? ''
    const offset = position - (parseSegmentName(segment) ?? 0)
    for (let bit = 0; bit < (24 + body.length) * 8; bit += every) {
      running.flip(segment, offset + (bit >> 3), bit & 7)
      reads++
      try {
        const read = Buffer.from(await log.read(position)).toString('latin1')
        if (read !== body) violated(`record ${at}, bit ${bit}: other bytes are read than were written`)
      } catch (error) {
        if (!(error instanceof EpochcastError) || error.code !== 'EC_LOG_DAMAGED')
          violated(`record ${at}, bit ${bit}: not refused by name: ${String(error)}`)
      }
      running.flip(segment, offset + (bit >> 3), bit & 7)
    }
  }
  await log.close()
  return reads
}

function newMachine(): ServerMachine {
  return new ServerMachine({
    self: { name: serverName(serverId('a'), storage), address: address('a') },
    seeds: [],
    random: seededRandom(1),
    clock: { nowMs: () => 0 },
    defaults: { autoCreate: false, template: { members: [] } },
  })
}
