/**
 * A TCP proxy in front of one server that knows where frames begin: it holds them back for a while, says some of them twice, loses
 * some, and breaks connections in the middle of one. It needs no rights, so it works where namespaces do not.
 */
import { createServer, connect as dial, type Server, type Socket } from 'node:net'
import type { Random } from '../../proto/machine/ports.ts'
import { FrameSplitter, framePrefix } from '../../proto/transport/framing.ts'

export interface Trouble {
  /** Milliseconds that a frame is held back at most; a few are held back ten times as long. */
  readonly delayMs: number
  /** Of 100 frames, so many. */
  readonly twice: number
  readonly lost: number
  readonly broken: number
  /** Nothing passes. */
  readonly cut: boolean
}

export const noTrouble: Trouble = { delayMs: 0, twice: 0, lost: 0, broken: 0, cut: false }
const frameBytesMax = 64 * 1024 * 1024
const longShare = 50

export class FrameProxy {
  trouble: Trouble = noTrouble
  readonly counts = { passed: 0, twice: 0, lost: 0, broken: 0 }
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  readonly #random: Random

  private constructor(random: Random, target: { host: string; port: number }) {
    this.#random = random
    this.#server = createServer((from) => {
      const to = dial(target)
      this.#pipe(from, to)
      this.#pipe(to, from)
    })
  }

  static async listen(random: Random, port: number, target: { host: string; port: number }): Promise<FrameProxy> {
    const proxy = new FrameProxy(random, target)
    await new Promise<void>((resolve, reject) => {
      proxy.#server.once('error', reject)
      proxy.#server.listen({ port, host: '127.0.0.1' }, resolve)
    })
    return proxy
  }

  /** Breaks every connection. */
  breakAll(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  close(): void {
    this.#server.close()
    this.breakAll()
  }

  #pipe(from: Socket, to: Socket): void {
    this.#sockets.add(from)
    const splitter = new FrameSplitter(frameBytesMax)
    let isFirst = true
    let last: Promise<void> = Promise.resolve()
    const end = () => {
      this.#sockets.delete(from)
      to.destroy()
    }
    from.on('error', end).on('close', end)
    from.on('data', (chunk: Buffer) => {
      splitter.feed(chunk)
      for (let frame = splitter.next(); frame !== undefined; frame = splitter.next()) {
        const bytes = Buffer.concat([framePrefix(frame.length), frame])
        // The hello has to be the first, once.
        if (isFirst) to.write(bytes)
        else last = this.#pass(bytes, to, last)
        isFirst = false
      }
    })
  }

  /** Frames of one connection keep their order, as they do in TCP, except those that are held back long. */
  #pass(bytes: Buffer, to: Socket, last: Promise<void>): Promise<void> {
    const { delayMs, twice, lost, broken, cut } = this.trouble
    const isChosen = (share: number) => this.#random.below(100) < share
    if (cut || isChosen(lost)) {
      this.counts.lost++
      return last
    }
    if (isChosen(broken)) {
      this.counts.broken++
      return last.then(() => void to.end(bytes.subarray(0, 1 + this.#random.below(bytes.length))))
    }
    this.counts.passed++
    const isTwice = isChosen(twice)
    if (isTwice) this.counts.twice++
    const wait = delayMs === 0 ? 0 : this.#random.below(delayMs)
    const write = () => void to.write(isTwice ? Buffer.concat([bytes, bytes]) : bytes)
    if (wait > 0 && this.#random.below(longShare) === 0) {
      setTimeout(write, wait * 10)
      return last
    }
    return wait === 0 ? last.then(write) : last.then(() => pauseFor(wait)).then(write)
  }
}

function pauseFor(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds))
}
