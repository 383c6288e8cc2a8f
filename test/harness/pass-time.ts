import type { Effect, Machine } from '../../proto/machine/contract.ts'

/** Time of a machine, without a loop: each tick is a turn of its own. */
export function passTime(machine: Pick<Machine, 'step'>, from = 0): (ticks: number) => Effect[] {
  let now = from
  return (ticks) => {
    const out: Effect[] = []
    for (const end = now + ticks; now < end; ) {
      machine.step({ kind: 'time', now: ++now }, out)
      machine.step({ kind: 'turn' }, out)
    }
    return out
  }
}
