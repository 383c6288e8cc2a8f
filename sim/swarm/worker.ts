/** A process that runs shares of seeds for whoever started it. */
import { type Order, runShare } from './share.ts'

process.on('message', (order: Order) => {
  runShare(order).then(
    (share) => process.send?.(share),
    (error: unknown) => {
      console.error(error)
      process.exit(1)
    },
  )
})
process.on('disconnect', () => process.exit(0))
