/** What every decision engine outside of the cluster does for a server: one try each, with IO. */
import type { Register } from '../../proto/machine/engine-port.ts'
import type { Finding } from '../../proto/wire/messages.ts'

/** Largest value that every engine takes. */
export const valueBytesMax: number = 1024 * 1024

export interface EngineReport {
  /** Sixteen hexadecimal digits that the engine keeps like a register: without its registers it is another instance. */
  readonly instance: string
  /** One `fail` among them, and it may not decide anything. */
  readonly findings: readonly Finding[]
}

/** A connection that begins by itself, comes back by itself, and asks for trust again whenever it is a new one. */
export interface EngineClient {
  readonly id: string
  /** `redis`, `jetstream`, `memory` */
  readonly type: string
  /** Looks at the engine as it is now. @throws an error where it does not answer */
  check(): Promise<EngineReport>
  /**
   * Fills the register, if it is empty.
   * @returns what it holds for ever: `value`, or what somebody else proposed before
   * @throws EngineDistrust, or another error where the outcome is not known: then the same bytes are to be proposed again
   */
  propose(register: Register, value: Uint8Array, instance: string): Promise<Uint8Array>
  /** @returns null where it shows nothing, which may be an old view. @throws as `propose` does */
  read(register: Register, instance: string): Promise<Uint8Array | null>
  close(): Promise<void>
}

/** The engine answers, and is not asked: it may not be relied on, or cannot hold what is proposed. */
export class EngineDistrust extends Error {
  override readonly name = 'EngineDistrust'
  readonly findings: readonly Finding[]

  constructor(reason: string, findings: readonly Finding[] = [{ verdict: 'fail', text: reason }]) {
    super(reason)
    this.findings = findings
  }
}

/** @throws EngineDistrust */
export function checkTrust({ instance, findings }: EngineReport, wanted: string): void {
  const failed = findings.find(({ verdict }) => verdict === 'fail')
  if (failed !== undefined) throw new EngineDistrust(failed.text, findings)
  if (instance === wanted) return
  const text = `it is instance ${instance}, not ${wanted}: its registers were lost, or this is another one under the same name`
  throw new EngineDistrust(text, [{ verdict: 'fail', text, hint: 'bring back the one that has the registers' }])
}

/** @throws EngineDistrust */
export function checkSize(value: Uint8Array, bytesMax: number): void {
  if (value.length > bytesMax) throw new EngineDistrust(`it takes at most ${bytesMax} bytes, not ${value.length}`)
}
