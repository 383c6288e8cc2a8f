/** The memberships of a topic as they follow each other. */
import type { Configuration, Decision } from '../proto/configuration.ts'
import type { EpochcastError } from '../proto/errors.ts'
import type { TopicName } from '../proto/ids.ts'
import { Watch } from './operations/watch.ts'
import { Registrations } from './registrations.ts'
import type { TopicContext } from './topic-context.ts'
import { type View, viewOf } from './view.ts'

/**
 * Begins with the current view, when it is first read; ends with its client, by its signal, by `return()` or by `break`. Reading
 * fails with what the topic cannot be followed for.
 */
export class ViewStream implements AsyncIterableIterator<View>, AsyncDisposable {
  readonly #context: Pick<TopicContext, 'loop' | 'machine' | 'waits'>
  readonly #topic: TopicName
  readonly #signal: AbortSignal | undefined
  readonly #registered = new Registrations()
  #hasBegun = false
  #queue: View[] = []
  #before: Configuration | null = null
  #failure: EpochcastError | null = null
  #wakes: (() => void)[] = []

  constructor(
    context: Pick<TopicContext, 'loop' | 'machine' | 'waits'>,
    topic: TopicName,
    signal: AbortSignal | undefined,
  ) {
    this.#context = context
    this.#topic = topic
    this.#signal = signal
  }

  async next(): Promise<IteratorResult<View, undefined>> {
    this.#begin()
    for (;;) {
      if (this.#failure !== null) {
        const failure = this.#failure
        this.#failure = null
        throw failure
      }
      if (this.#registered.isOver) return { done: true, value: undefined }
      const view = this.#queue.shift()
      if (view !== undefined) return { done: false, value: view }
      await new Promise<void>((resolve) => {
        this.#wakes.push(resolve)
      })
    }
  }

  async return(): Promise<IteratorResult<View, undefined>> {
    this.#hasBegun = true
    this.#end()
    return { done: true, value: undefined }
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return()
  }

  #begin(): void {
    if (this.#hasBegun) return
    this.#hasBegun = true
    const { loop, machine, waits } = this.#context
    const watch = new Watch(machine.follower(this.#topic), machine.requests, {
      begun: (configuration) => this.#push(configuration, null),
      moved: (decision) => this.#push(decision.next, decision),
      failed: (error) => {
        this.#failure = error
        this.#end()
      },
    })
    loop.call((out) => machine.addWatch(watch, out))
    this.#registered.add(() => loop.call((out) => machine.removeWatch(watch, out)))
    this.#registered.add(waits.add(() => this.#end()))
    this.#registered.onAbort(this.#signal, () => this.#end())
  }

  #push(configuration: Configuration, decision: Decision | null): void {
    this.#queue.push(viewOf(configuration, this.#before, decision))
    this.#before = configuration
    this.#wakeUp()
  }

  #end(): void {
    this.#registered.takeBack()
    this.#queue = []
    this.#wakeUp()
  }

  #wakeUp(): void {
    const wakes = this.#wakes
    this.#wakes = []
    for (const wake of wakes) wake()
  }
}
