import { type Address, address } from '../../../proto/ids.ts'
import { MemoryNetwork } from '../../../proto/transport/memory.ts'
import { dialTcp, listenTcp } from '../../../proto/transport/tcp.ts'
import { describeTransport } from './conformance.ts'

describeTransport('memory', () => {
  const network = new MemoryNetwork()
  let servers = 0
  return {
    unknown: [address('server:nobody')],
    listen: async (handler, limits, at) => {
      servers += 1
      return network.attach(at ?? address(`server:${servers}`), handler, limits)
    },
    dial: async (name, handler, limits) => network.attach(address(`client:${name}`), handler, limits),
  }
})

describeTransport('tcp', async () => {
  const nobody = await listenTcp({ host: '127.0.0.1', port: 0, handler: { frame: () => {}, peer: () => {} } })
  await nobody.close()
  const portOf = (at: Address): number => Number(at.split(':')[1])
  return {
    unknown: [nobody.address, address('127.0.0.1:0'), address('127.0.0.1:70000')],
    listen: (handler, limits, at) =>
      listenTcp({ host: '127.0.0.1', port: at === undefined ? 0 : portOf(at), handler, ...(limits && { limits }) }),
    dial: async (name, handler, limits) => dialTcp({ name, handler, ...(limits && { limits }) }),
  }
})
