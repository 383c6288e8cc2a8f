// Goal: tests can rely on the servers that they start. Method: start them, ask them, end them.
import { expect, it } from 'vitest'
import { describeNats, NatsServers, natsServerVersion } from './nats-server.ts'

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

describeNats('nats-server', () => {
  it('starts one, kills it, starts it again at the same place, and leaves nothing behind', async () => {
    expect(natsServerVersion()).toMatch(/^\d+\.\d+\.\d+$/)
    const servers = await NatsServers.start()
    const [before, url] = [servers.pidOf('n1'), servers.url]
    await servers.kill('n1')
    expect(isRunning(before)).toBe(false)
    await servers.restart('n1')
    expect(servers.url).toBe(url)
    const after = servers.pidOf('n1')
    expect(isRunning(after)).toBe(true)
    await servers.close()
    expect(isRunning(after)).toBe(false)
  })

  it('starts a cluster, which elects another leader when its leader is gone', async () => {
    const servers = await NatsServers.start({ count: 3 })
    try {
      const first = await servers.untilLeader()
      await servers.kill(first)
      const second = await servers.untilLeader(undefined, first)
      expect(second).not.toBe(first)
      await servers.restart(first)
      servers.freeze(second)
      expect(await servers.untilLeader(undefined, second)).not.toBe(second)
      servers.thaw(second)
    } finally {
      await servers.close()
    }
  })

  it('says what a server said that does not start', async () => {
    await expect(NatsServers.start({ config: 'nonsense {' })).rejects.toThrow('n1 did not get ready')
  })
})
