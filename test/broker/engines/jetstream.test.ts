// Goal: a stream that is no set of write-once registers is refused by name, and one that was made anew is another instance. Method: a
// real nats-server, with streams that somebody else has made.
import { jetstreamManager } from '@nats-io/jetstream'
import { connect, type NatsConnection } from '@nats-io/transport-node'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { JetStreamEngine, type JetStreamOptions } from '../../../broker/engines/jetstream.ts'
import { registerStream } from '../../../broker/engines/jetstream-trust.ts'
import { clusterId, epoch, topicName } from '../../../proto/ids.ts'
import { describeNats, NatsServers } from '../../peers/nats-server.ts'

const cluster = clusterId('11111111-2222-4333-8444-555555555555')
const registerOf = (topic: string, at: number) => ({ cluster, topic: topicName(topic), epoch: epoch(at) })

describeNats('JetStreamEngine', () => {
  let servers: NatsServers
  let nats: NatsConnection
  const engines: JetStreamEngine[] = []

  beforeAll(async () => {
    servers = await NatsServers.start()
    nats = await connect({ servers: servers.addresses })
  })

  afterAll(async () => {
    for (const engine of engines) await engine.close()
    await nats?.close()
    await servers?.close()
  })

  function open(options: Partial<JetStreamOptions> = {}): JetStreamEngine {
    const engine = new JetStreamEngine({ id: 'main', servers: servers.addresses, ...options })
    engines.push(engine)
    return engine
  }

  it('makes its stream, and says what it may forget', async () => {
    const engine = open()
    const { findings, instance } = await engine.check()
    expect(instance).toMatch(/^[0-9a-f]{16}$/)
    expect(findings.map(({ verdict }) => verdict)).toEqual(['ok', 'warn', 'warn'])
    const text = findings.map((finding) => finding.text).join('\n')
    expect(text).toContain('one copy of each decision')
    expect(text).toMatch(/power failure of its machine may undo/)
    expect((await open().check()).instance).toBe(instance)
  })

  it('keeps topics apart whose names differ in a dot, and lets nobody delete a decision', async () => {
    const engine = open()
    const { instance } = await engine.check()
    const [one, other] = [registerOf('a.1', 2), registerOf('a', 1)]
    const values = [
      await engine.propose(one, Buffer.from('x'), instance),
      await engine.propose(other, Buffer.from('y'), instance),
    ]
    expect(values.map((value) => Buffer.from(value).toString())).toEqual(['x', 'y'])
    const manager = await jetstreamManager(nats)
    await expect(manager.streams.deleteMessage('EPOCHCAST', 2)).rejects.toThrow()
    await expect(manager.streams.purge('EPOCHCAST')).rejects.toThrow()
    expect(Buffer.from((await engine.read(one, instance)) ?? '').toString()).toBe('x')
    await expect(engine.propose(one, Buffer.alloc(1024 * 1024), instance)).rejects.toThrow(/takes at most \d+ bytes/)
  })

  it.each([
    ['max_age', { max_age: 60_000_000_000 }, 'it forgets decisions'],
    ['max_msgs_per_subject', { max_msgs_per_subject: 2 }, 'more than one decision'],
    ['deny_delete', { deny_delete: false }, 'can be deleted'],
    ['discard', { discard: 'old', discard_new_per_subject: false }, 'old decisions'],
    ['storage', { storage: 'memory' }, 'gone when its servers stop'],
  ])('refuses a stream with another %s', async (key, change, why) => {
    const manager = await jetstreamManager(nats)
    const [stream, prefix] = [`S-${key}`, `p-${key.replaceAll('_', '-')}`]
    await manager.streams.add({ ...registerStream(stream, prefix, 1), ...change } as Parameters<
      typeof manager.streams.add
    >[0])
    const engine = open({ stream, prefix })
    const { findings } = await engine.check()
    expect(
      findings
        .filter(({ verdict }) => verdict === 'fail')
        .map(({ text }) => text)
        .join('\n'),
    ).toContain(why)
    await expect(engine.propose(registerOf('t', 1), Buffer.from('x'), '')).rejects.toThrow(`stream ${stream} has`)
  })

  it('is another instance when its stream was made anew', async () => {
    const [stream, prefix] = ['GONE', 'gone']
    const engine = open({ stream, prefix })
    const { instance } = await engine.check()
    await engine.propose(registerOf('t', 1), Buffer.from('x'), instance)
    const manager = await jetstreamManager(nats)
    await manager.streams.delete(stream)
    await manager.streams.add(registerStream(stream, prefix, 1))
    // It has not been looked at since.
    const other = engine.propose(registerOf('t', 1), Buffer.from('y'), instance)
    await expect(other).rejects.toThrow('not the one that was looked at')
    await engine.check()
    await expect(engine.propose(registerOf('t', 1), Buffer.from('z'), instance)).rejects.toThrow(
      'its registers were lost',
    )
    await expect(engine.read(registerOf('t', 1), instance)).rejects.toThrow('its registers were lost')
  })

  it('does not take the subjects of somebody else', async () => {
    const manager = await jetstreamManager(nats)
    await manager.streams.add({ name: 'OTHERS', subjects: ['theirs.>'] })
    await expect(open({ stream: 'MINE', prefix: 'theirs' }).check()).rejects.toThrow('JetStream says')
    const { findings } = await open({ stream: 'OTHERS', prefix: 'mine' }).check()
    expect(findings.map(({ text }) => text).join('\n')).toContain('takes theirs.>, not mine.>')
  })
})
