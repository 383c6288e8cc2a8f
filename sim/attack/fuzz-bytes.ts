/**
 * Bytes that are nearly right, for everything that reads bytes from outside: frames, the stream that carries them, the
 * configuration file, the log. Whatever comes, the answer is a value or an error of a known code, memory stays in bounds, and
 * it makes no difference in which pieces the bytes came.
 */
import { isDeepStrictEqual } from 'node:util'
import { parseConfig } from '../../broker/config/config.ts'
import { Files } from '../../broker/log/files.ts'
import { SegmentLog } from '../../broker/log/segment-log.ts'
import { EpochcastError, type ErrorCode } from '../../proto/errors.ts'
import type { ClusterId } from '../../proto/ids.ts'
import type { Random } from '../../proto/machine/ports.ts'
import { FrameSplitter, framePrefix } from '../../proto/transport/framing.ts'
import { decodeFrame, decodeMessage, encodeEnvelope, encodeMessage, messageBytes } from '../../proto/wire/codec.ts'
import { seededRandom } from '../seeded-random.ts'
import { CrashFiles } from '../world/crash-files.ts'
import { MessageGenerator, mutate, natural, pick, someBytes } from './generate.ts'

export interface FuzzResult {
  readonly target: string
  cases: number
  accepted: number
  refused: number
  readonly violations: string[]
}

export interface FuzzOptions {
  readonly seed: number
  /** Ends after so many cases, or so many milliseconds, whichever comes first. */
  readonly casesMax: number
  readonly millisecondsMax: number
}

type Target = (random: Random, result: FuzzResult) => void | Promise<void>

const violationsMax = 10
const cluster = '11111111-2222-4333-8444-555555555555' as ClusterId
const frameBytesMax = 4096

export async function fuzz(target: string, one: Target, options: FuzzOptions): Promise<FuzzResult> {
  const result: FuzzResult = { target, cases: 0, accepted: 0, refused: 0, violations: [] }
  const end = performance.now() + options.millisecondsMax
  while (result.cases < options.casesMax && result.violations.length < violationsMax && performance.now() < end) {
    const seed = options.seed + result.cases++
    try {
      await one(seededRandom(seed), result)
    } catch (error) {
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
      result.violations.push(`${target}, seed ${seed}: ${text}`)
    }
  }
  return result
}

export function fuzzFrames(options: FuzzOptions): Promise<FuzzResult> {
  return fuzz('frames', oneFrame, options)
}

export function fuzzStreams(options: FuzzOptions): Promise<FuzzResult> {
  return fuzz('streams', oneStream, options)
}

export function fuzzConfig(options: FuzzOptions): Promise<FuzzResult> {
  return fuzz('config', oneConfig, options)
}

export function fuzzLog(options: FuzzOptions): Promise<FuzzResult> {
  return fuzz('log', oneLog, options)
}

function validFrame(random: Random): Buffer {
  const message = new MessageGenerator(random).message()
  return Buffer.concat([
    encodeEnvelope({ cluster, from: 'somebody', token: natural(random) }),
    ...encodeMessage(message),
  ])
}

/** What is refused is refused by its code; what is taken is written in one way, and read again as the same. */
function oneFrame(random: Random, result: FuzzResult): void {
  const valid = validFrame(random)
  const isValid = random.below(8) === 0
  const bytes = isValid
    ? valid
    : random.below(8) === 0
      ? someBytes(random, random.below(200))
      : mutate(valid, validFrame(random), random)
  const frame = expectOnly(['EC_BAD_MESSAGE'], result, () => decodeFrame(bytes))
  if (frame === null && isValid) throw new Error(`a valid frame was refused: ${bytes.toString('hex')}`)
  if (frame === null) return
  const canonical = messageBytes(frame.message)
  const again = decodeMessage(canonical)
  if (!isDeepStrictEqual(again, frame.message))
    throw new Error(`read otherwise when written again: ${bytes.toString('hex')}`)
  if (!Buffer.from(messageBytes(again)).equals(canonical))
    throw new Error(`written in two ways: ${bytes.toString('hex')}`)
}

/** A stream of frames, cut anywhere, gives the same frames as in one piece, and the same error at the same place. */
function oneStream(random: Random, result: FuzzResult): void {
  const frames = Array.from({ length: 1 + random.below(5) }, () => {
    const frame = someBytes(random, 1 + random.below(random.below(4) === 0 ? frameBytesMax : 60))
    return Buffer.concat([framePrefix(frame.length), frame])
  })
  const whole = Buffer.concat(frames)
  const bytes = random.below(3) === 0 ? whole : mutate(whole, frames[0] ?? whole, random)
  const atOnce = split(bytes, () => bytes.length, result)
  const inPieces = split(bytes, () => 1 + random.below(pick(random, [1, 7, 100, 5000])), null)
  if (!isDeepStrictEqual(atOnce, inPieces)) throw new Error(`pieces make a difference: ${bytes.toString('hex')}`)
}

function split(bytes: Buffer, next: () => number, result: FuzzResult | null): readonly string[] {
  const splitter = new FrameSplitter(frameBytesMax)
  const found: string[] = []
  let at = 0
  const read = () => {
    while (at < bytes.length) {
      const length = next()
      splitter.feed(bytes.subarray(at, at + length))
      at += length
      for (let frame = splitter.next(); frame !== undefined; frame = splitter.next()) {
        if (frame.length > frameBytesMax) throw new Error(`a frame of ${frame.length} bytes was taken`)
        found.push(Buffer.from(frame).toString('hex'))
      }
    }
    return true
  }
  const codes: ErrorCode[] = ['EC_BAD_MESSAGE', 'EC_FRAME_TOO_LARGE']
  if (expectOnly(codes, result, read) === null) found.push('refused')
  return found
}

const configs = [
  `cluster:
  servers:
    a: { listen: 127.0.0.1:7501, data: ./servers/a }
    b: { listen: 127.0.0.1:7502, data: ./servers/b, insecure: true }
    c: { listen: "0.0.0.0:7503", address: example.org:7503, data: /var/c }
  autoCreate: true
defaults: { mode: fault-masking, size: 3 }
topics:
  orders.eu: { mode: fault-recovery, members: [a, b], minimum: 2 }
  numbers: { mode: single, decider: engine, order: fifo }
`,
  'cluster: { servers: { a: { listen: 127.0.0.1:1, data: x } } }\n',
  'topics: &t { x: { mode: single } }\ndefaults: *t\n? [1, 2]\n: __proto__\n',
  '{"cluster": {"servers": {"__proto__": {"listen": "a:1"}, "constructor": 1}}, "topics": {"toString": null}}',
]
const tokens = [
  '- ',
  ': ',
  '{',
  '}',
  '[',
  ']',
  '&a ',
  '*a',
  '!!js/function x',
  '\n',
  '"',
  "'",
  '|',
  '__proto__',
  '1e999',
  '\u0000',
  '\u{1F600}',
  '? ',
  '<<: *a',
  '# ',
]

/** A configuration is one, or its mistakes are named; never a strange error, never a changed prototype. */
function oneConfig(random: Random, result: FuzzResult): void {
  let text = pick(random, configs)
  for (let count = random.below(6); count > 0; count--) {
    const at = random.below(text.length + 1)
    if (random.below(2) === 0) text = text.slice(0, at) + pick(random, tokens) + text.slice(at)
    else text = mutate(Buffer.from(text), Buffer.from(pick(random, configs)), random).toString()
  }
  const config = expectOnly(['EC_BAD_CONFIG'], result, () => parseConfig(text, 'cluster.yaml'))
  if (config !== null && Object.getPrototypeOf(config.servers) !== Array.prototype)
    throw new Error('a changed prototype')
  if ('listen' in {}) throw new Error(`everything has been given a field by: ${text}`)
}

const logOptions = { segmentBytes: 8192, recordBytesMax: 4096, cacheBytesMax: 0, diskReserveBytes: 16_384 }

/** Recovery gives records that were written, in their order, or refuses by name; then the log goes on. */
async function oneLog(random: Random, result: FuzzResult): Promise<void> {
  const seed = random.below(2 ** 32)
  const files = new CrashFiles(random)
  const written = await writeLog(files, seed, random)
  const other = new CrashFiles(random)
  await writeLog(other, seed + 1, random)
  const damaged = files.clone()
  for (const name of await damaged.list()) {
    if (random.below(2) === 0) continue
    const image = damaged.bytesOf(name)
    const source = other.bytesOf((await other.list())[0] as string)
    const changed = mutate(image.subarray(0, 1 + random.below(image.length)), source, random)
    image.set(changed.subarray(0, image.length))
    if (random.below(10) === 0) damaged.truncate(name, random.below(image.length))
  }
  const log = new SegmentLog(new Files(damaged), { ...logOptions, seed })
  const found: string[] = []
  const visit = (_kind: unknown, body: Uint8Array) => void found.push(Buffer.from(body).toString('latin1'))
  try {
    await log.recover(visit)
    result.accepted++
  } catch (error) {
    refusedBy(error, ['EC_LOG_DAMAGED', 'EC_LOG_FORMAT', 'EC_DISK_FAILED'])
    result.refused++
    return
  }
  const strange = found.findIndex((body, at) => body !== written[at])
  if (strange >= 0) throw new Error(`record ${strange} is another one than was written`)
  log.append('protocol', Buffer.from('next'))
  await log.flush()
  await log.close()
}

async function writeLog(files: CrashFiles, seed: number, random: Random): Promise<string[]> {
  const log = new SegmentLog(new Files(files), { ...logOptions, seed })
  await log.recover(() => {})
  const written: string[] = []
  for (let count = 1 + random.below(12); count > 0; count--) {
    const body = `r${written.length} ${'x'.repeat(random.below(random.below(4) === 0 ? 3000 : 100))}`
    log.append(random.below(2) === 0 ? 'batch' : 'protocol', Buffer.from(body))
    written.push(body)
    if (random.below(3) > 0) await log.flush()
  }
  await log.flush()
  if (random.below(2) === 0) await log.close()
  return written
}

/** The result, or null where it is refused by one of these codes. @throws whatever else comes */
function expectOnly<T>(codes: readonly ErrorCode[], result: FuzzResult | null, run: () => T): T | null {
  try {
    const value = run()
    if (result !== null) result.accepted++
    return value
  } catch (error) {
    refusedBy(error, codes)
    if (result !== null) result.refused++
    return null
  }
}

function refusedBy(error: unknown, codes: readonly ErrorCode[]): void {
  if (!(error instanceof EpochcastError) || !codes.includes(error.code)) throw error
}
