/** The memberships of a topic as they follow each other. */
import type { Configuration, Decision } from '../proto/configuration.ts'
import type { EpochcastError } from '../proto/errors.ts'
import type { TopicName } from '../proto/ids.ts'
import { Watch } from './operations/watch.ts'
import type { TopicContext } from './topic-context.ts'
import { type View, viewOf } from './view.ts'

/** Begins with the current view; ends with its client, by `signal`, or by `break`. @throws what the topic cannot be followed for */
export async function* viewsOf(
  context: Pick<TopicContext, 'loop' | 'machine' | 'closed' | 'onClose'>,
  topic: TopicName,
  signal: AbortSignal | undefined,
): AsyncGenerator<View, void, undefined> {
  const queue: View[] = []
  let wake: (() => void) | null = null
  let failure: EpochcastError | null = null
  let before: Configuration | null = null
  const push = (configuration: Configuration, decision: Decision | null) => {
    queue.push(viewOf(configuration, before, decision))
    before = configuration
    wake?.()
  }
  const { loop, machine } = context
  const watch = new Watch(machine.follower(topic), machine.requests, {
    begun: (configuration) => push(configuration, null),
    moved: (decision) => push(decision.next, decision),
    failed: (error) => {
      failure = error
      wake?.()
    },
  })
  const onAbort = () => wake?.()
  signal?.addEventListener('abort', onAbort, { once: true })
  loop.call((out) => machine.addWatch(watch, out))
  const untrack = context.onClose(() => wake?.())
  try {
    while (signal?.aborted !== true && context.closed() === null) {
      const view = queue.shift()
      if (view !== undefined) yield view
      else if (failure !== null) throw failure
      else {
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
    }
  } finally {
    untrack()
    loop.call((out) => machine.removeWatch(watch, out))
    signal?.removeEventListener('abort', onAbort)
  }
}
