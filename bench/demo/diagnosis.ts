/** What is known about a run that went wrong: where it stood, and what the topic's members say. */
import type { Admin } from '../../client-sdk/index.ts'
import { serverIdOf } from '../../proto/ids.ts'

const askTimeoutMs = 2_000

export async function diagnose(admin: Admin, topic: string): Promise<string[]> {
  const limits = { timeoutMs: askTimeoutMs }
  try {
    const { epoch, mode, members } = await admin.topic(topic, limits)
    const ids = members.map((member) => serverIdOf(member.name)).join(',')
    const servers = await admin.servers(limits)
    const silent = servers.filter((server) => !server.alive).map((server) => server.id)
    const replicas = await admin.replicas(topic, limits)
    return [
      `topic ${topic}: epoch ${epoch}, ${mode} on ${ids}; silent servers: ${silent.join(',') || 'none'}`,
      ...replicas.map(({ server, phase, epoch: at, storedCount, stagedCount, heldEpochs }) => {
        return `  ${server}: ${phase}, epoch ${at}, ${storedCount} stored, ${stagedCount} staged, ${heldEpochs} epochs held`
      }),
    ]
  } catch (error) {
    return [`the topic's state cannot be read: ${String(error)}`]
  }
}
