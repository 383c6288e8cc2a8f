import type { Address } from '../../../proto/ids.ts'
import type { TransportHandler } from '../../../proto/transport/port.ts'

/** Waits for a condition, not for a time; the test's own timeout is the limit. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 1))
}

/** Long enough for whatever must not happen to have happened. */
export function quietMoment(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 50))
}

/** Keeps what a transport tells, in order. */
export class Recorder implements TransportHandler {
  readonly frames: Uint8Array[] = []
  readonly senders: Address[] = []
  /** `+address` for up, `-address` for down. */
  readonly hints: string[] = []
  onFrame: (from: Address, bytes: Uint8Array) => void = () => {}

  frame(from: Address, bytes: Uint8Array): void {
    this.frames.push(bytes)
    this.senders.push(from)
    this.onFrame(from, bytes)
  }

  peer(address: Address, up: boolean): void {
    this.hints.push(`${up ? '+' : '-'}${address}`)
  }

  get texts(): string[] {
    return this.frames.map((frame) => Buffer.from(frame).toString())
  }
}

export function text(value: string): Uint8Array[] {
  return [Buffer.from(value)]
}
