import { createServer } from 'node:net'

// Below the ports that systems give to outgoing connections: nobody takes one while its server is down.
const firstPort = 15_000
const portCount = 15_000
const portTriesMax = 200

/** So many different loopback ports that nobody listens on now. */
export async function freePorts(count: number, taken: readonly number[] = []): Promise<number[]> {
  const ports: number[] = []
  for (let turn = 0; turn < portTriesMax + count && ports.length < count; turn++) {
    const port = firstPort + Math.floor(Math.random() * portCount)
    if (!taken.includes(port) && !ports.includes(port) && (await isFree(port))) ports.push(port)
  }
  if (ports.length === count) return ports
  throw new Error(`no free port from ${firstPort} to ${firstPort + portCount}`)
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer()
    probe.once('error', () => resolve(false))
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)))
  })
}
