// Goal: records that lie one after the other cost one read, and a record that was not whole is never served from what was read
// for another. Method: blocks over bytes in memory, with every read counted.
import { beforeEach, describe, expect, it } from 'vitest'
import { blockBytes, ReadBlocks } from '../../../broker/log/read-blocks.ts'

const log = Buffer.alloc(
  3 * blockBytes,
  Uint8Array.from({ length: 251 }, (_, at) => at),
)
const everything = log.length
let reads: [position: number, bytes: number][] = []
let blocks: ReadBlocks

beforeEach(() => {
  reads = []
  blocks = new ReadBlocks(async (position, bytes) => {
    reads.push([position, bytes])
    return log.subarray(position, position + bytes)
  })
})

describe('blocks of the log', () => {
  it('serve what is asked for while they are read, and what is asked for later, by one read', async () => {
    const all = await Promise.all([100, 150, 5_000].map((position) => blocks.load(position, everything)))
    expect(all.map((bytes) => bytes[0])).toEqual([100, 150, 5_000].map((position) => log[position]))
    expect(blocks.get(60_000)?.[0]).toBe(log[60_000])
    expect(reads).toEqual([[100, blockBytes]])
  })

  it('have nothing before their beginning, and nothing behind what was written', async () => {
    await blocks.load(100, 400)
    expect(reads).toEqual([[100, 300]])
    expect([blocks.get(99), blocks.get(400)]).toEqual([null, null])
    expect(blocks.get(399)).toHaveLength(1)
  })

  it('give way to the block that begins where they cut something off', async () => {
    await blocks.load(0, everything)
    await blocks.reload(blockBytes - 10, everything)
    expect(blocks.get(blockBytes - 10)).toHaveLength(blockBytes)
    expect(await blocks.load(blockBytes - 1, everything)).toHaveLength(blockBytes - 9)
    expect(reads).toHaveLength(2)
  })

  it('are read again from where something was damaged', async () => {
    await blocks.load(0, everything)
    blocks.forget(1_000)
    expect(blocks.get(999)).not.toBeNull()
    expect(blocks.get(1_000)).toBeNull()
    await blocks.load(1_000, everything)
    expect(reads).toHaveLength(2)
  })

  it('are few', async () => {
    for (let position = 0; position < 40; position++) await blocks.reload(position, everything)
    for (let position = 0; position < 40; position++) await blocks.load(position, position + 1)
    expect(reads.length).toBeGreaterThan(40)
  })

  it('forget a read that failed', async () => {
    let isBroken = true
    blocks = new ReadBlocks(async (position, bytes) => {
      if (isBroken) throw new Error('no such luck')
      return log.subarray(position, position + bytes)
    })
    await expect(blocks.load(0, everything)).rejects.toThrow('no such luck')
    isBroken = false
    expect((await blocks.load(0, everything))[0]).toBe(log[0])
  })
})
