/** CPU and memory of processes, and the CPU that the rest of the machine used, from /proc where there is one. */
import { readFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { callCommand } from '../child-process.ts'

/** Clock ticks in a second, as /proc counts. */
const ticksPerSecond = askTicksPerSecond()

export interface Memory {
  readonly rssMb: number
  readonly peakMb: number
}

/** CPU seconds that a process has used, its ended threads included; 0 when it is gone or nobody can tell. */
export function cpuSeconds(pid: number): number {
  const text = read(`/proc/${pid}/stat`)
  if (text === null) return 0
  // The name in parentheses may hold anything.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond
}

/** Resident now and at its highest; null when it is gone or nobody can tell. */
export function memoryOf(pid: number): Memory | null {
  const text = read(`/proc/${pid}/status`)
  const now = /^VmRSS:\s+(\d+)/m.exec(text ?? '')?.[1]
  const peak = /^VmHWM:\s+(\d+)/m.exec(text ?? '')?.[1]
  if (now === undefined || peak === undefined) return null
  return { rssMb: Math.round(Number(now) / 102.4) / 10, peakMb: Math.round(Number(peak) / 102.4) / 10 }
}

interface MachineTimes {
  /** Seconds of all cores together. */
  readonly total: number
  readonly busy: number
  readonly stolen: number
}

function machineTimes(): MachineTimes | null {
  const line = /^cpu +(.*)$/m.exec(read('/proc/stat') ?? '')?.[1]
  if (line === undefined) return null
  const [user = 0, nice = 0, system = 0, idle = 0, wait = 0, irq = 0, soft = 0, steal = 0] = line.split(' ').map(Number)
  const busy = user + nice + system + irq + soft
  const seconds = (ticks: number) => ticks / ticksPerSecond
  return { total: seconds(busy + idle + wait + steal), busy: seconds(busy), stolen: seconds(steal) }
}

export interface MachineShare {
  readonly cores: number
  /** Share of all cores' time (0 to 1) that this benchmark used; null where there is no /proc. */
  readonly ours: number | null
  /** Share that others on this machine used: above a few hundredths the run is noisy. */
  readonly foreign: number | null
  /** Share that the machine's host took away. */
  readonly stolen: number | null
}

/** Watches how much of the machine was not ours, between two moments. */
export class MachineWatch {
  readonly #began = machineTimes()
  readonly #own = new Map<number, number>()

  /** @param pids ours; those that come later are added */
  constructor(pids: readonly number[] = []) {
    this.add([process.pid, ...pids])
  }

  add(pids: readonly number[]): void {
    for (const pid of pids) if (!this.#own.has(pid)) this.#own.set(pid, cpuSeconds(pid))
  }

  /** Before one of ours is ended: what it used is noted. */
  #used = 0
  leave(pid: number): void {
    const before = this.#own.get(pid)
    if (before === undefined) return
    this.#used += Math.max(0, cpuSeconds(pid) - before)
    this.#own.delete(pid)
  }

  share(): MachineShare {
    const now = machineTimes()
    if (now === null || this.#began === null) return { cores: cpus().length, ours: null, foreign: null, stolen: null }
    let ours = this.#used
    for (const [pid, before] of this.#own) ours += Math.max(0, cpuSeconds(pid) - before)
    const total = Math.max(1 / ticksPerSecond, now.total - this.#began.total)
    const share = (seconds: number) => Math.round((1000 * Math.max(0, seconds)) / total) / 1000
    return {
      cores: cpus().length,
      ours: share(ours),
      foreign: share(now.busy - this.#began.busy - ours),
      stolen: share(now.stolen - this.#began.stolen),
    }
  }
}

function read(path: string): string | null {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return null
  }
}

function askTicksPerSecond(): number {
  return Number(callCommand('getconf', ['CLK_TCK']).stdout) || 100
}
