/**
 * The near end of the limit, a process of its own: fills frames with messages, sends each to every sink, and counts it when all of
 * them (or so many as a majority) answered.
 */
import { connect, type Socket } from 'node:net'
import { PayloadWriter } from '../load/payload.ts'
import { nowUs } from '../measure/clock.ts'
import { Histogram, type HistogramData } from '../measure/histogram.ts'

export interface SourceSpec {
  readonly ports: readonly number[]
  /** Sinks whose answer makes a frame count. */
  readonly quorum: number
  readonly payloadBytes: number
  readonly frameBytes: number
  /** Bytes under way. */
  readonly windowBytes: number
  /** One message a frame, one frame under way. */
  readonly pingPong: boolean
  readonly warmupSeconds: number
  readonly seconds: number
}

export interface SourceResult {
  readonly messagesPerSecond: number
  readonly latency: HistogramData
}

const headerBytes = 4

process.on('SIGINT', () => {})
process.once('message', (spec) => {
  run(spec as SourceSpec).then(
    (result) => process.send?.(result),
    (error: unknown) => {
      process.stderr.write(`source: ${String(error)}\n`)
      process.exit(1)
    },
  )
})

interface Frame {
  readonly endBytes: number
  readonly sentUs: number
  readonly count: number
}

async function run(spec: SourceSpec): Promise<SourceResult> {
  const sockets = await Promise.all(spec.ports.map(dial))
  const [fromUs, endUs] = [nowUs() + spec.warmupSeconds * 1e6, nowUs() + (spec.warmupSeconds + spec.seconds) * 1e6]
  const perFrame = spec.pingPong ? 1 : Math.max(1, Math.floor(spec.frameBytes / spec.payloadBytes))
  const writer = new PayloadWriter(spec.payloadBytes)
  const latency = new Histogram()
  const answered = sockets.map(() => 0)
  let underWay: Frame[] = []
  let [sentBytes, durableBytes, sequence, counted] = [0, 0, 0, 0]
  return new Promise((resolve) => {
    const send = () => {
      const bytes = perFrame * spec.payloadBytes
      const most = spec.pingPong ? bytes : Math.max(bytes, spec.windowBytes)
      for (const socket of sockets) socket.cork()
      while (sentBytes - durableBytes + bytes <= most) {
        const sentUs = nowUs()
        const frame = Buffer.allocUnsafe(headerBytes + bytes)
        frame.writeUInt32LE(bytes, 0)
        for (let at = 0; at < perFrame; at++) {
          writer.write(0, sequence++, sentUs).copy(frame, headerBytes + at * spec.payloadBytes)
        }
        sentBytes += bytes
        underWay.push({ endBytes: sentBytes, sentUs, count: perFrame })
        for (const socket of sockets) socket.write(frame)
      }
      for (const socket of sockets) socket.uncork()
    }
    const settle = () => {
      const now = nowUs()
      const sorted = [...answered].sort((one, other) => other - one)
      durableBytes = sorted[spec.quorum - 1] ?? 0
      let done = 0
      for (const frame of underWay) {
        if (frame.endBytes > durableBytes) break
        done++
        if (now < fromUs || now >= endUs) continue
        counted += frame.count
        latency.record(now - frame.sentUs, frame.count)
      }
      if (done > 0) underWay = underWay.slice(done)
      if (now >= endUs) {
        for (const socket of sockets) socket.destroy()
        resolve({ messagesPerSecond: counted / spec.seconds, latency: latency.data() })
      } else if (done > 0) send()
    }
    for (const [at, socket] of sockets.entries()) {
      onAnswers(socket, (bytes) => {
        answered[at] = bytes
        settle()
      })
    }
    send()
  })
}

function dial(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => resolve(socket))
    socket.setNoDelay(true)
    socket.once('error', reject)
  })
}

/** @param take the newest answer of those that arrived together */
function onAnswers(socket: Socket, take: (bytes: number) => void): void {
  let rest: Buffer = Buffer.alloc(0)
  socket.on('data', (chunk) => {
    const all = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    const whole = all.length - (all.length % 8)
    rest = all.subarray(whole)
    if (whole > 0) take(all.readDoubleLE(whole - 8))
  })
}
