/** I4, I5, I10: one decision ends an epoch; nobody opens or speaks for an epoch that is not decided; one proposal per stake. */
import { type Broken, epochKey, type Indexed } from './indexed.ts'

interface Chosen {
  readonly rc: string
  readonly i: number
}

export function checkDecisions(indexed: Indexed, broken: Broken): void {
  const { history, decisions, header, isTotal, closings } = indexed
  const chosen = findChosen(indexed)
  for (const [key, all] of chosen) {
    const [first, second] = all
    if (first !== undefined && second !== undefined)
      broken('I4', second.i, `${first.rc} and ${second.rc} were both chosen for ${key}`)
  }
  const mayAsk = (header?.arbiters.length ?? 0) > 0 || history.some(({ kind }) => kind === 'decided')
  const isChosen = (rc: string, before: number): boolean => {
    const decision = decisions.get(rc)
    if (decision === undefined) return false
    const all = chosen.get(epochKey(decision.topic, decision.epoch))
    return all?.some((one) => one.rc === rc && (!isTotal || one.i < before)) === true
  }
  const canTell = (rc: string): boolean => {
    const decision = decisions.get(rc)
    if (decision === undefined) return true
    const old = closings.get(epochKey(decision.topic, decision.epoch - 1))
    return mayAsk || old?.decider === 'stakes'
  }
  const proposals = new Map<string, string>()
  const started = new Map<string, { readonly rc: string; readonly srv: string }>()
  const openedBy = new Map<string, number>()
  for (const event of history) {
    switch (event.kind) {
      case 'started': {
        const key = epochKey(event.topic, event.epoch)
        const other = started.get(key)
        if (other !== undefined && other.rc !== event.rc)
          broken('I4', event.i, `${event.srv} opens ${key} by ${event.rc}, ${other.srv} by ${other.rc}`)
        if (other === undefined) started.set(key, event)
        if (canTell(event.rc) && !isChosen(event.rc, event.i))
          broken('I5', event.i, `${event.srv} opens ${key} by ${event.rc}, which was not decided`)
        const members = decisions.get(event.rc)?.members
        if (members?.includes(event.srv) === false)
          broken('I5', event.i, `${event.srv} opens ${key} without being a member of it`)
        if (!openedBy.has(`${event.srv} ${key}`)) openedBy.set(`${event.srv} ${key}`, event.i)
        break
      }
      case 'ackSent':
      case 'served':
      case 'suspSent': {
        const key = epochKey(event.topic, event.epoch)
        // At real servers the log of an old epoch may be gone; there the order says nothing.
        if (isTotal && !openedBy.has(`${event.srv} ${key}`))
          broken('I5', event.i, `${event.srv} speaks for ${key} (${event.kind}) without having opened it`)
        break
      }
      case 'proposed': {
        const slot = `${event.to} ${epochKey(event.topic, event.epoch)} ${event.stake}`
        const known = proposals.get(slot)
        if (known !== undefined && known !== event.rc)
          broken('I10', event.i, `stake ${event.stake} proposes ${known} and ${event.rc}`)
        proposals.set(slot, known ?? event.rc)
        break
      }
      case 'closed':
      case 'view':
        if (event.rc !== undefined && canTell(event.rc) && !isChosen(event.rc, event.i))
          broken('I5', event.i, `a client is told of ${event.rc}, which was not decided`)
        break
      case 'ok':
        if (event.f === 'reconf' && event.rc !== undefined && canTell(event.rc) && !isChosen(event.rc, event.i))
          broken('I5', event.i, `a client is told of ${event.rc}, which was not decided`)
        break
      default:
    }
  }
  checkOneClosing(indexed, broken)
  checkAcceptsPerStake(indexed, broken)
}

/** All that clients and servers were told of one epoch's end is one decision. */
function checkOneClosing({ history, decisions, closings }: Indexed, broken: Broken): void {
  for (const event of history) {
    if (event.kind !== 'closed' && event.kind !== 'view' && !(event.kind === 'ok' && event.f === 'reconf')) continue
    const decision = event.rc === undefined ? undefined : decisions.get(event.rc)
    if (decision === undefined) continue
    const known = closings.get(epochKey(decision.topic, decision.epoch))
    if (known !== undefined && known.rc !== decision.rc)
      broken('I4', event.i, `${decision.rc} and ${known.rc} are both told as the end of epoch ${decision.epoch}`)
  }
}

/** What was accepted under one stake is one proposal, also where the proposals themselves were not seen. */
function checkAcceptsPerStake({ history }: Indexed, broken: Broken): void {
  const accepted = new Map<string, string>()
  for (const event of history) {
    if (event.kind !== 'accepted') continue
    const slot = `${event.by} ${epochKey(event.topic, event.epoch)} ${event.stake}`
    const known = accepted.get(slot)
    if (known !== undefined && known !== event.rc)
      broken('I10', event.i, `under stake ${event.stake} both ${known} and ${event.rc} were accepted`)
    accepted.set(slot, known ?? event.rc)
  }
}

/** By closed epoch: what those who decide it accepted by a majority under one stake, and when. */
function findChosen({ history, decisions, closings, header }: Indexed): ReadonlyMap<string, readonly Chosen[]> {
  const chosen = new Map<string, Chosen[]>()
  const votes = new Map<string, Set<string>>()
  const choose = (key: string, rc: string, i: number) => {
    const all = chosen.get(key) ?? []
    chosen.set(key, all)
    if (!all.some((one) => one.rc === rc)) all.push({ rc, i })
  }
  for (const event of history) {
    if (event.kind === 'decided') choose(epochKey(event.topic, event.epoch), event.rc, event.i)
    if (event.kind !== 'accepted' || !decisions.has(event.rc)) continue
    const configuration = event.epoch === 0 ? undefined : closings.get(epochKey(event.topic, event.epoch - 1))
    const byStakes = configuration?.decider === 'stakes'
    if (configuration?.decider.startsWith('engine:')) continue
    // Who decides an epoch is part of it: votes of others count nothing.
    if (byStakes !== (event.by === 'member')) continue
    const voters = byStakes ? (configuration?.members ?? []) : (header?.arbiters ?? [])
    if (!voters.includes(event.srv)) continue
    const slot = `${epochKey(event.topic, event.epoch)} ${event.stake} ${event.rc}`
    const voted = votes.get(slot) ?? new Set<string>()
    votes.set(slot, voted.add(event.srv))
    if (voted.size === Math.floor(voters.length / 2) + 1) choose(epochKey(event.topic, event.epoch), event.rc, event.i)
  }
  return chosen
}
