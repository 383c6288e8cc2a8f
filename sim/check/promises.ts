/** I7, I8, I9: what one server says follows from its disk, a wedge is final, and its promises never fall. */
import { compareStakeTexts, type HistoryEvent } from './history.ts'
import { type Broken, epochKey, type Indexed } from './indexed.ts'

/** One epoch of one topic on one disk. */
interface Disk {
  readonly stored: Map<string, number>
  /** What was stored when the wedge was written. */
  frozen: Map<string, number> | null
  readonly wedges: Set<string>
  readonly accepted: Set<string>
  readonly registered: Set<string>
  readonly promised: { member: string | null; arbiter: string | null }
}

export function checkPromises({ history }: Indexed, broken: Broken): void {
  const disks = new Map<string, Disk>()
  const lastLsn = new Map<string, number>()
  /** Servers whose disk was put back to an old copy: what they say is not to be believed, so they say nothing. */
  const old = new Set<string>()
  const at = (srv: string, topic: string, epoch: number): Disk => {
    const key = `${srv} ${epochKey(topic, epoch)}`
    let disk = disks.get(key)
    if (disk === undefined) {
      disk = newDisk()
      disks.set(key, disk)
    }
    return disk
  }
  const promise = (disk: Disk, by: 'member' | 'arbiter', stake: string, i: number, srv: string) => {
    const before = disk.promised[by]
    if (before !== null && compareStakeTexts(stake, before) < 0)
      broken('I9', i, `${srv} promises or accepts ${stake} after ${before}`)
    disk.promised[by] = stake
  }
  for (const event of history) {
    if ('lsn' in event && event.kind !== 'boot')
      lastLsn.set(event.srv, Math.max(lastLsn.get(event.srv) ?? -1, event.lsn))
    if (speaks.has(event.kind) && 'srv' in event && old.has(event.srv))
      broken('I8', event.i, `${event.srv} speaks (${event.kind}) with an old copy of its disk`)
    switch (event.kind) {
      case 'diskOld':
        old.add(event.srv)
        break
      case 'boot': {
        const last = lastLsn.get(event.srv) ?? -1
        if (event.lsn < last && !old.has(event.srv))
          broken('I8', event.i, `${event.srv} comes back with its log up to ${event.lsn}, and had ${last}`)
        break
      }
      case 'stored': {
        const disk = at(event.srv, event.topic, event.epoch)
        if (disk.frozen !== null && event.last > (disk.frozen.get(event.pub) ?? 0))
          broken('I7', event.i, `${event.srv} stores ${event.epoch}-${event.pub}-${event.last} after its wedge`)
        disk.stored.set(event.pub, Math.max(disk.stored.get(event.pub) ?? 0, event.last))
        break
      }
      case 'wedged': {
        const disk = at(event.srv, event.topic, event.epoch)
        disk.frozen ??= new Map(disk.stored)
        disk.wedges.add(event.stake)
        promise(disk, 'member', event.stake, event.i, event.srv)
        break
      }
      case 'promised':
        promise(at(event.srv, event.topic, event.epoch), 'arbiter', event.stake, event.i, event.srv)
        break
      case 'accepted': {
        const disk = at(event.srv, event.topic, event.epoch)
        if (event.by === 'member') {
          disk.frozen ??= new Map(disk.stored)
          disk.wedges.add(event.stake)
          disk.accepted.add(event.stake).add(`${event.stake} ${event.rc}`)
        } else disk.registered.add(event.stake)
        promise(disk, event.by, event.stake, event.i, event.srv)
        break
      }
      case 'ackSent': {
        const { srv, topic, epoch, pub, end, i } = event
        atMost(at(srv, topic, epoch), { [pub]: end }, i, `${srv} acknowledges`, broken)
        break
      }
      case 'served':
        atMost(at(event.srv, event.topic, event.epoch), event.set, event.i, `${event.srv} reports`, broken)
        break
      case 'suspSent': {
        const { srv, topic, epoch, stake, set, i } = event
        const disk = at(srv, topic, epoch)
        if (disk.frozen === null || !disk.wedges.has(stake)) {
          broken('I8', i, `${srv} answers the wedge of ${stake}, which is not on its disk`)
          break
        }
        for (const pub of new Set([...disk.frozen.keys(), ...Object.keys(set)])) {
          const [told = 0, kept = 0] = [set[pub], disk.frozen.get(pub)]
          if (told !== kept) broken('I7', i, `${srv} reports ${pub} up to ${told}, and froze it at ${kept}`)
        }
        break
      }
      case 'acceptSent': {
        const disk = at(event.srv, event.topic, event.epoch)
        const votes = event.by === 'member' ? disk.accepted : disk.registered
        if (!votes.has(event.stake))
          broken('I8', event.i, `${event.srv} answers the accept of ${event.stake}, which is not on its disk`)
        break
      }
      case 'startSent':
        if (!at(event.srv, event.topic, event.epoch).accepted.has(`${event.stake} ${event.rc}`))
          broken(
            'I8',
            event.i,
            `${event.srv} votes for ${event.rc} at ${event.stake}, which it has not accepted on its disk`,
          )
        break
      default:
    }
  }
}

const speaks: ReadonlySet<HistoryEvent['kind']> = new Set([
  'ackSent',
  'served',
  'suspSent',
  'proposed',
  'acceptSent',
  'startSent',
])

function newDisk(): Disk {
  return {
    stored: new Map(),
    frozen: null,
    wedges: new Set(),
    accepted: new Set(),
    registered: new Set(),
    promised: { member: null, arbiter: null },
  }
}

/** What is told is on the disk, and within what was frozen. */
function atMost(disk: Disk, set: Readonly<Record<string, number>>, i: number, who: string, broken: Broken): void {
  for (const pub in set) {
    const end = set[pub] ?? 0
    if (end > (disk.stored.get(pub) ?? 0)) broken('I8', i, `${who} ${pub} up to ${end}, more than is on its disk`)
    else if (disk.frozen !== null && end > (disk.frozen.get(pub) ?? 0))
      broken('I7', i, `${who} ${pub} up to ${end} after its wedge, which froze less`)
  }
}
