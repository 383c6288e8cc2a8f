/** The kinds of epoch changes, and what each does to the members at hand. */
import type { Mode } from '../../proto/configuration.ts'

export const plannedKinds = ['same', 'disjoint', 'add', 'remove', 'to-fault-recovery', 'to-fault-masking'] as const
export const harmedKinds = ['replace-killed', 'replace-frozen', 'lose-coordinator'] as const
export const allKinds = [...plannedKinds, ...harmedKinds] as const

export type Kind = (typeof allKinds)[number]

export interface Membership {
  readonly mode: Mode
  readonly members: readonly string[]
}

export interface PlannedChange {
  /** May be another one than was asked for, where the members at hand do not allow that. */
  readonly kind: Kind
  readonly about: string
  readonly next: Membership
  /** A member that is killed or frozen, and when. */
  readonly harm: { readonly id: string; readonly how: 'kill' | 'freeze'; readonly at: 'before' | 'wedge' } | null
}

/** Members that are added or taken out: what one more failure takes. */
const step = 2

/**
 * @param servers all that run
 * @throws Error when no change of that kind can be made with so many servers
 */
export function planChange(kind: Kind, now: Membership, servers: readonly string[]): PlannedChange {
  const { mode, members } = now
  const spare = servers.filter((id) => !members.includes(id))
  const to = (of: Kind, next: Membership, harm: PlannedChange['harm'] = null): PlannedChange => {
    const verb = harm === null ? '' : `${harm.how} ${harm.id}${harm.at === 'before' ? '' : ` as it wedges`}, `
    return { kind: of, about: `${verb}${wordsOf(now)} -> ${wordsOf(next)}`, next, harm }
  }
  const shrunk = () => to('remove', { mode, members: members.slice(0, members.length - step) })
  const isGrown = members.length - step >= smallest(mode)
  switch (kind) {
    case 'same':
      return to(kind, now)
    case 'disjoint':
      if (spare.length >= members.length) return to(kind, { mode, members: spare.slice(0, members.length) })
      if (isGrown) return shrunk()
      throw new Error(`${members.length} members have no ${members.length} others among ${servers.length} servers`)
    case 'add':
      if (spare.length >= step) return to(kind, { mode, members: [...members, ...spare.slice(0, step)] })
      if (isGrown) return shrunk()
      throw new Error(`there are no ${step} more servers to add`)
    case 'remove':
      if (isGrown) return shrunk()
      if (spare.length >= step) return to('add', { mode, members: [...members, ...spare.slice(0, step)] })
      throw new Error(`${members.length} members cannot become fewer`)
    case 'to-fault-recovery':
      if (mode === 'fault-recovery') return planChange('to-fault-masking', now, servers)
      return to(kind, { mode: 'fault-recovery', members: members.slice(0, Math.max(2, (members.length + 1) >> 1)) })
    case 'to-fault-masking': {
      if (mode === 'fault-masking') return planChange('to-fault-recovery', now, servers)
      const most = servers.length - ((servers.length + 1) % 2)
      const wanted = Math.min(Math.max(3, 2 * members.length - 1), most)
      if (wanted < 3) throw new Error(`fault-masking takes 3 servers, not ${servers.length}`)
      return to(kind, { mode: 'fault-masking', members: [...members, ...spare].slice(0, wanted) })
    }
    case 'replace-killed':
    case 'replace-frozen':
    case 'lose-coordinator': {
      const [victim = ''] = members
      const [other] = spare
      if (mode !== 'fault-masking') return planChange('to-fault-masking', now, servers)
      if (other === undefined) throw new Error('there is no other server to take the place of a dead one')
      const next = { mode, members: [...members.slice(1), other] }
      const how = kind === 'replace-frozen' ? 'freeze' : 'kill'
      return to(kind, next, { id: victim, how, at: kind === 'lose-coordinator' ? 'wedge' : 'before' })
    }
  }
}

function smallest(mode: Mode): number {
  return mode === 'single' ? 1 : mode === 'fault-recovery' ? 2 : 3
}

function wordsOf({ mode, members }: Membership): string {
  return `${mode} ${members.join(',')}`
}
