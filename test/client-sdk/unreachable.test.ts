// Goal: who cannot connect is told why, address by address, with the cause. Method: real sockets on loopback that do not answer as
// servers do, and what the environment says.
import { createServer, type Server, type Socket } from 'node:net'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { connect } from '../../client-sdk/index.ts'
import { unreachable } from '../../client-sdk/unreachable.ts'
import { address } from '../../proto/ids.ts'

const open: Server[] = []
const sockets: Socket[] = []

async function listen(answer: (socket: Socket) => void): Promise<string> {
  const server = createServer((socket) => {
    sockets.push(socket)
    socket.on('error', () => {})
    answer(socket)
  })
  open.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return `127.0.0.1:${(server.address() as { port: number }).port}`
}

afterEach(() => {
  vi.unstubAllEnvs()
  for (const socket of sockets.splice(0)) socket.destroy()
  for (const server of open.splice(0)) server.close()
})

describe('connect', () => {
  it('says what is there instead of a server', async () => {
    const web = await listen((socket) => socket.once('data', () => socket.write('HTTP/1.1 400 Bad Request\r\n\r\n')))
    const silent = await listen(() => {})
    const ending = await listen((socket) => socket.once('data', () => socket.end()))
    const closed = await listen(() => {})
    open.pop()?.close()
    const error = await connect(`epochcast://${web},${silent},${ending},${closed}`, { timeoutMs: 400 }).catch(
      (told) => told,
    )
    expect(error).toMatchObject({ code: 'EC_UNREACHABLE', retryable: true })
    expect(error.message).toContain(`${web} (what answers there is no epochcast server`)
    expect(error.message).toContain(
      `${silent} (it takes the connection and says nothing: no epochcast server, or one that is paused or stuck`,
    )
    expect(error.message).toContain(`${ending} (it ends the connection without a word`)
    expect(error.message).toContain(`${closed} (ECONNREFUSED: nothing listens there)`)
    expect(error.cause.errors).toHaveLength(4)
  })

  it('says which variable of the environment is wrong', async () => {
    for (const [url, words] of [
      ['', 'EPOCHCAST_URL is set and empty'],
      ['  ', 'EPOCHCAST_URL is set and empty'],
      ['http://x', 'EPOCHCAST_URL: "http://x" is not'],
      ['nats://', 'EPOCHCAST_URL: this is not a nats:// url'],
    ] as const) {
      vi.stubEnv('EPOCHCAST_URL', url)
      await expect(connect()).rejects.toMatchObject({
        code: 'EC_BAD_ARGUMENT',
        message: expect.stringContaining(words),
      })
    }
    await expect(connect('')).rejects.toThrow('"" is not an epochcast:// url')
    await expect(connect(Symbol('x') as never)).rejects.toMatchObject({ code: 'EC_BAD_ARGUMENT' })
  })
})

describe('the reason', () => {
  const trouble = (code: string) => Object.assign(new Error(`connect ${code}`), { code })

  it('is that of the system, in words, and is the cause', () => {
    const at = address('nobody.invalid:1')
    const error = unreachable([at], () => trouble('ENOTFOUND'), 'start one')
    expect(error.message).toBe('no server answers at nobody.invalid:1 (ENOTFOUND: its name does not resolve)')
    expect(error).toMatchObject({ hint: 'start one', cause: { code: 'ENOTFOUND' } })
  })

  it('is no answer where nothing is known', () => {
    expect(unreachable([address('a:1')], () => null, '').message).toBe('no server answers at a:1 (no answer)')
  })

  it('is the first of those of a name with several addresses', () => {
    const both = new AggregateError([trouble('ECONNREFUSED'), trouble('ETIMEDOUT')])
    expect(unreachable([address('a:1')], () => both, '').message).toContain('ECONNREFUSED: nothing listens there')
  })
})
