/** A process that publishes or subscribes as the benchmark that started it orders. */
import type { FromWorker, ToWorker } from './contract.ts'
import { PublisherLoad } from './publisher-load.ts'
import { SubscriberLoad } from './subscriber-load.ts'

const countEveryMs = 200

// Ctrl-C goes to the whole group: the benchmark that started this process decides when it ends.
process.on('SIGINT', () => {})

let load: PublisherLoad | SubscriberLoad | null = null

process.on('message', (message) => {
  obey(message as ToWorker).catch((error: unknown) => tell({ kind: 'failed', reason: reasonOf(error) }))
})
process.on('unhandledRejection', (error) => tell({ kind: 'failed', reason: reasonOf(error) }))

async function obey(message: ToWorker): Promise<void> {
  switch (message.kind) {
    case 'open': {
      const { spec } = message
      try {
        load = spec.role === 'publisher' ? await PublisherLoad.open(spec) : await SubscriberLoad.open(spec, fail)
        tell({ kind: 'ready' })
      } catch (error) {
        tell({ kind: 'refused', reason: reasonOf(error) })
      }
      return
    }
    case 'go': {
      const timer = setInterval(count, countEveryMs)
      timer.unref()
      if (load instanceof PublisherLoad) tell(await load.run(message.plan))
      else load?.begin(message.plan)
      return
    }
    case 'stop':
      if (load instanceof PublisherLoad) load.stop()
      return
    case 'settle':
      if (load instanceof SubscriberLoad) tell(await load.settle(new Map(message.published), message.excused))
      return
    case 'end':
      await load?.close()
      process.exit(0)
  }
}

function count(): void {
  if (load !== null) tell({ kind: 'count', published: load.published, settled: load.settled })
}

function fail(error: unknown): void {
  tell({ kind: 'failed', reason: reasonOf(error) })
}

function tell(message: FromWorker): void {
  // The benchmark that started this process may have gone.
  if (process.connected) process.send?.(message)
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
