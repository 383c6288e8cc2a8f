import { describe, expect, it } from 'vitest'
import { address } from '../../../proto/ids.ts'
import { MemoryNetwork } from '../../../proto/transport/memory.ts'
import { quietMoment, Recorder, text, until } from './recorder.ts'

// Goal: the faults that only the in-process network can cause do what they say.
// Method: two or three endpoints, one fault, and everything that they are told.

const [a, b] = [address('a'), address('b')]

describe('MemoryNetwork', () => {
  it('hands on a single part without copying it', async () => {
    const network = new MemoryNetwork()
    const saw = new Recorder()
    network.attach(b, saw)
    const part = Buffer.from('as it is')
    network.attach(a, new Recorder()).send(b, [part])
    await until(() => saw.frames.length === 1)
    expect(saw.frames[0]).toBe(part)
  })

  it('refuses an address that is taken', () => {
    const network = new MemoryNetwork()
    network.attach(a, new Recorder())
    expect(() => network.attach(a, new Recorder())).toThrowError(expect.objectContaining({ code: 'EC_BAD_ARGUMENT' }))
  })

  it('loses and counts frames across a cut, those on their way included, until it heals', async () => {
    const network = new MemoryNetwork()
    const [aSaw, bSaw] = [new Recorder(), new Recorder()]
    const [atA, atB] = [network.attach(a, aSaw), network.attach(b, bSaw)]
    atA.send(b, text('on its way'))
    network.cut(b, a)
    atA.send(b, text('cut'))
    atB.send(a, text('cut'))
    await until(() => atA.framesLost === 2)
    expect(atB.framesLost).toBe(1)
    network.heal(a, b)
    atA.send(b, text('healed'))
    await until(() => bSaw.frames.length === 1)
    expect([bSaw.texts, aSaw.texts]).toEqual([['healed'], []])
  })

  it('loses what a crashed endpoint sent or should receive, and tells those it spoke with', async () => {
    const network = new MemoryNetwork()
    const [aSaw, bSaw, again] = [new Recorder(), new Recorder(), new Recorder()]
    const [atA, atB] = [network.attach(a, aSaw), network.attach(b, bSaw)]
    atA.send(b, text('1'))
    await until(() => bSaw.frames.length === 1)
    atA.send(b, text('for the dead'))
    atB.send(a, text('of the dead'))
    network.detach(b)
    network.attach(b, again)
    await until(() => aSaw.hints.length === 2)
    await quietMoment()
    expect(aSaw.hints).toEqual(['+b', '-b'])
    expect([aSaw.frames.length, bSaw.frames.length, again.frames.length]).toEqual([0, 1, 0])
    expect([atA.framesLost, atB.framesLost]).toEqual([1, 1])
  })

  it('tells a crashed endpoint nothing of the crash of another', async () => {
    const network = new MemoryNetwork()
    const [aSaw, bSaw] = [new Recorder(), new Recorder()]
    const atA = network.attach(a, aSaw)
    network.attach(b, bSaw)
    atA.send(b, text('1'))
    await until(() => bSaw.frames.length === 1)
    network.detach(a)
    network.detach(b)
    await quietMoment()
    expect([aSaw.hints, bSaw.hints]).toEqual([['+b'], ['+a']])
  })

  it('loses a frame that only its receiver finds too large', () => {
    const network = new MemoryNetwork()
    network.attach(b, new Recorder(), { frameBytesMax: 10 })
    const atA = network.attach(a, new Recorder())
    atA.send(b, [Buffer.alloc(11)])
    expect(atA.framesLost).toBe(1)
  })
})
