/**
 * Servers whose files are changed behind their back while they are down (D11 to D13): deleted, emptied, cut, or exchanged for
 * older ones or those of another server. What is left lacks something that was told, so such a server refuses to start, by
 * itself; whatever it says is a violation, as with an old disk. It comes back with an empty one.
 *
 * That it notices by itself rests on the note of how far its log reached, which a loss of power may set back by up to a segment
 * until the server has recovered (`broker/log/reached.ts`): so only servers that have are struck. Files that are changed in that
 * time too are an old disk, of which the others have to tell (P6).
 */
import { reachedFileName } from '../../broker/log/reached.ts'
import { parseSegmentName } from '../../broker/log/segment-name.ts'
import type { Random } from '../../proto/machine/ports.ts'
import type { Position } from '../../proto/machine/store.ts'
import type { CrashFiles } from '../world/crash-files.ts'
import type { ServerNode } from '../world/server-node.ts'
import type { World } from '../world/world.ts'
import { pick } from './chance.ts'
import type { FaultId } from './fault-classes.ts'
import type { Tolerance } from './tolerance.ts'

export type LossId = Extract<FaultId, 'D11' | 'D12' | 'D13'>

/** Bytes that hold records in every segment but the last: less than one record of the largest size is left free. */
const usedBytes = 4_000

interface Loss {
  readonly id: LossId
  readonly server: ServerNode
  /** The storage that lacks something. */
  readonly name: string
}

export class LostFiles {
  readonly #world: World
  readonly #tolerance: Tolerance
  readonly #refused: (id: LossId) => void
  #losses: readonly Loss[] = []

  /** @param refused told when a server refused to start because of a loss of this class */
  constructor(world: World, tolerance: Tolerance, refused: (id: LossId) => void) {
    this.#world = world
    this.#tolerance = tolerance
    this.#refused = refused
  }

  /** @returns what was done, in words; null where nothing can be lost of this server now */
  strike(server: ServerNode, id: LossId, random: Random): string | null {
    const { name } = server
    if (server.files === null || !server.hasRecovered || !this.#tolerance.lose([name])) return null
    // Its machine goes on: what the process had written is there.
    server.kill(false)
    let done = ''
    const isSpoilt = server.spoil((files, toldTo) => {
      done = this.#change(server, id, files, toldTo, random)
      return done !== ''
    })
    if (isSpoilt) this.#losses = [...this.#losses, { id, server, name }]
    // Nothing was told yet, or nothing can be exchanged: it only died.
    return isSpoilt ? `${server.id}: ${done}` : `${server.id}, which kept its files`
  }

  /** It refused to start. @returns whether its files lack something */
  stopped(server: ServerNode): boolean {
    const loss = this.#losses.find((one) => one.server === server && one.name === server.name)
    if (loss === undefined) return false
    this.#refused(loss.id)
    this.#world.queue.after(0, () => server.loseDisk())
    return true
  }

  /** Those that were not started yet get an empty disk. */
  heal(): void {
    for (const { server, name } of this.#losses) if (!server.alive && server.name === name) server.loseDisk()
  }

  #change(server: ServerNode, id: LossId, files: CrashFiles, toldTo: Position, random: Random): string {
    const segments = segmentsOf(files).filter((name) => firstOf(name) <= toldTo)
    const newest = segments.at(-1)
    if (newest === undefined) return ''
    switch (id) {
      case 'D11': {
        const victims = pick(random, [[reachedFileName], segments, [newest], [pick(random, segments)]])
        for (const name of victims) files.drop(name)
        return `without ${victims.join(',')}`
      }
      case 'D12': {
        const name = random.below(4) === 0 ? reachedFileName : pick(random, segments)
        const { length } = files.bytesOf(name)
        const left = random.below(name === newest ? toldTo - firstOf(name) + 1 : Math.min(length, usedBytes))
        files.truncate(name, left)
        // A file of the right size that holds zeros is no better.
        if (random.below(2) === 0) files.put(name, padded(files.bytesOf(name), length))
        return `${name} of ${left} bytes`
      }
      case 'D13': {
        const old = server.copiedFiles
        if (old?.has(newest) === true && (server.copyEnd ?? 0) <= toldTo && random.below(2) === 0) {
          files.put(newest, old.bytesOf(newest))
          return `${newest} as it was`
        }
        const others = [...this.#world.servers.values()].filter((other) => other !== server)
        const other = pick(random, others)
        const name = pick(random, segments)
        if (other.files?.has(name) !== true) return ''
        files.put(name, other.files.bytesOf(name))
        return `${name} of ${other.id}`
      }
    }
  }
}

function segmentsOf(files: CrashFiles): string[] {
  return files.names().filter((name) => parseSegmentName(name) !== null)
}

function firstOf(name: string): Position {
  return parseSegmentName(name) ?? 0
}

function padded(bytes: Uint8Array, length: number): Uint8Array {
  const whole = new Uint8Array(length)
  whole.set(bytes)
  return whole
}
