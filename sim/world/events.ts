/** What happens in a virtual world, as watchers see it, and the points that faults can be placed at. */
import type { ServerName } from '../../proto/ids.ts'
import type { EngineCall, Register } from '../../proto/machine/engine-port.ts'
import type { Position } from '../../proto/machine/store.ts'
import type { PowerLoss } from './crash-files.ts'
import type { NetworkEvent, Parcel } from './network.ts'
import type { Operation, Step } from './operations.ts'
import type { DiskRecord } from './virtual-disk.ts'

export type WorldEvent =
  | { readonly what: NetworkEvent; readonly at: number; readonly parcel: Parcel }
  | { readonly what: 'append'; readonly at: number; readonly server: ServerName; readonly record: DiskRecord }
  | {
      readonly what: 'flush'
      readonly at: number
      readonly server: ServerName
      readonly records: readonly DiskRecord[]
    }
  /** `lsn`: position of the last record that it found on its disk, -1 for none. */
  | { readonly what: 'start'; readonly at: number; readonly server: ServerName; readonly lsn: Position }
  | { readonly what: 'crash'; readonly at: number; readonly server: ServerName; readonly loss?: PowerLoss }
  | { readonly what: 'disk-lost'; readonly at: number; readonly server: ServerName }
  /** The disk is as it was some time ago. */
  | { readonly what: 'disk-old'; readonly at: number; readonly server: ServerName }
  /** A server stopped by itself. */
  | { readonly what: 'fatal'; readonly at: number; readonly server: ServerName; readonly error: unknown }
  /** A server asks a decision engine outside of the cluster. */
  | {
      readonly what: 'engine'
      readonly at: number
      readonly server: ServerName
      readonly engine: string
      readonly call: EngineCall
    }
  /** A register of an engine outside of the cluster got its value. */
  | {
      readonly what: 'decided'
      readonly at: number
      readonly engine: string
      readonly register: Register
      readonly value: Uint8Array
    }
  | { readonly what: 'operation'; readonly at: number; readonly operation: Operation; readonly step: Step }
  /** The process of a client is gone. */
  | { readonly what: 'gone'; readonly at: number; readonly client: string }

/** Looks at everything that happens: a trace, a checker. */
export type Watcher = (event: WorldEvent) => void

/** A moment that a fault can be placed at. `before` a frame leaves, it may still be kept back. */
export interface Point {
  readonly moment: 'before' | 'after'
  readonly what: 'send' | 'persist' | 'flush'
  /** Server or client. */
  readonly id: string
  /** Kind of the message, or of the record; empty for a flush. */
  readonly kind: string
}

/** @returns false to keep a frame back, and everything that its sender would say after it */
export type PointHook = (point: Point) => boolean
