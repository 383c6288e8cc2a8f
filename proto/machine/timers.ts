/**
 * Timers of a machine. Each has a name from a total table with one sentence each, a key (a topic, a server, a token) and a moment
 * at which it rings once. Between two rings a machine costs nothing: the loop sleeps until `nextDue`, and the simulator jumps there.
 *
 * Time is counted in ticks of `tickMs` and passes with `pass` alone, so a machine reads no clock. A turn takes everything that came
 * before it rings what is due: an answer that is here already stops the timer that waits for it, however late the process is.
 */
import { Heap } from '../heap.ts'
import type { Effect } from './contract.ts'

/** What a timer does when it rings. */
export type Ring = (out: Effect[]) => void

/** One running timer, for display. */
export interface TimerState<Name extends string = string> {
  readonly name: Name
  readonly key: string
  /** Ticks until it rings. */
  readonly ticks: number
}

/** A place in the heap. A timer that is set to a later moment keeps its entry, which moves once it comes to the top. */
interface Entry {
  due: number
  order: number
  readonly timer: Timer
}

const never = Number.POSITIVE_INFINITY

export class Timer<Name extends string = string> {
  readonly name: Name
  readonly key: string
  /** Tick at which it rings; infinite while it is stopped. */
  due = never
  order = 0
  entry: Entry | null = null
  readonly ring: Ring
  readonly #timers: Timers<Name>

  /** Made by `Timers.timer`. */
  constructor(timers: Timers<Name>, name: Name, key: string, ring: Ring) {
    this.#timers = timers
    this.name = name
    this.key = key
    this.ring = ring
  }

  get isSet(): boolean {
    return this.due !== never
  }

  /** Ticks until it rings; infinite while it is stopped. */
  get ticksLeft(): number {
    return this.due - this.#timers.now
  }

  /** Rings once, `ticks` from now (at least one): a setting before it counts no longer. */
  set(ticks: number): void {
    this.due = this.#timers.now + Math.max(1, ticks)
    this.#timers.place(this)
  }

  /** Rings `ticks` from now, unless it rings before that anyway. */
  setWithin(ticks: number): void {
    if (this.ticksLeft > ticks) this.set(ticks)
  }

  /** Sets it unless it is set. */
  setIfStopped(ticks: number): void {
    if (!this.isSet) this.set(ticks)
  }

  stop(): void {
    this.due = never
  }
}

/** What a part of a machine needs of time. */
export interface TimerSource<Name extends string = string> {
  /** Ticks since the machine began. */
  readonly now: number
  /** A timer that is not set yet. Rings of one tick come in the order of their settings. */
  timer(name: Name, key: string, ring: Ring): Timer<Name>
}

export class Timers<Name extends string = string> implements TimerSource<Name> {
  now = 0
  readonly #heap = new Heap<Entry>(isBefore)
  #order = 0

  timer(name: Name, key: string, ring: Ring): Timer<Name> {
    return new Timer(this, name, key, ring)
  }

  /** Tick of the next ring; null while no timer is set. */
  get nextDue(): number | null {
    return this.#first()?.due ?? null
  }

  /** Time has passed up to tick `now`. What is due rings with `ring`, once everything else of the turn has been taken. */
  pass(now: number): void {
    this.now = Math.max(this.now, now)
  }

  /** Rings everything that is due, in the order of their moments. */
  ring(out: Effect[]): void {
    for (let entry = this.#first(); entry !== null && entry.due <= this.now; entry = this.#first()) {
      const { timer } = entry
      this.#heap.pop()
      timer.entry = null
      timer.due = never
      timer.ring(out)
    }
  }

  /** Timers that are set, the next one first. */
  list(): TimerState<Name>[] {
    const timers = this.#heap.all.flatMap((entry) =>
      entry.timer.entry === entry && entry.timer.isSet ? [entry.timer as Timer<Name>] : [],
    )
    timers.sort((one, other) => one.due - other.due || one.order - other.order)
    return timers.map(({ name, key, due }) => ({ name, key, ticks: due - this.now }))
  }

  /** Used by its timers. */
  place(timer: Timer<Name>): void {
    timer.order = this.#order++
    const { entry } = timer
    if (entry !== null && entry.due <= timer.due) return
    timer.entry = { due: timer.due, order: timer.order, timer: timer as unknown as Timer }
    this.#heap.push(timer.entry)
  }

  /** The next entry that stands for a ring: those of stopped and replaced settings are dropped, those of later ones moved on. */
  #first(): Entry | null {
    for (let entry = this.#heap.first; entry !== undefined; entry = this.#heap.first) {
      const { timer } = entry
      if (timer.entry === entry && timer.due === entry.due && timer.order === entry.order) return entry
      this.#heap.pop()
      if (timer.entry !== entry) continue
      timer.entry = null
      if (!timer.isSet) continue
      timer.entry = { due: timer.due, order: timer.order, timer }
      this.#heap.push(timer.entry)
    }
    return null
  }
}

function isBefore(one: Entry, other: Entry): boolean {
  return one.due < other.due || (one.due === other.due && one.order < other.order)
}
