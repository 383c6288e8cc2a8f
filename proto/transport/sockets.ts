/** How sockets come to read into memory of ours instead of a new buffer for every read. */
import { connect, type OnReadOpts, Socket, type TcpNetConnectOpts } from 'node:net'

/** Makes a socket that reads into the regions that `reading` gives, from its first byte on. */
export type Dial = (reading: OnReadOpts) => Socket

export function dialling(options: TcpNetConnectOpts): Dial {
  return (reading) => connect({ ...options, onread: reading })
}

interface Inner {
  _handle: object | null
  _server: object | null
}

/**
 * A socket that a server accepted, paused. Node has `onread` only for sockets that are made by their user, so the connection
 * moves into a new one: the handle, and the server that counts it. Where a Node has no such handle, the socket is read as ever.
 */
export function adopting(accepted: Socket): Dial {
  return (reading) => {
    const inner = accepted as unknown as Inner
    const { _handle: handle, _server: server } = inner
    if (handle === null || handle === undefined || server === undefined) return readPlainly(accepted, reading)
    inner._handle = null
    inner._server = null
    const socket = new Socket({ handle, onread: reading } as ConstructorParameters<typeof Socket>[0])
    ;(socket as unknown as Inner)._server = server
    return socket
  }
}

function readPlainly(socket: Socket, reading: OnReadOpts): Socket {
  return socket.on('data', (chunk: Buffer) => reading.callback(chunk.length, chunk))
}
