// Goal: a demo that was given up starts nothing any more, however far it had come. Method: its servers, told to end before they begin.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { Servers } from '../../bench/demo/servers.ts'

it('starts no server after the end', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'demo-servers-test-'))
  const deaths: Error[] = []
  const servers = new Servers(folder, (error) => deaths.push(error))
  const booting = servers.boot(['a', 'b', 'c'])
  expect(await servers.stop()).toEqual([])
  await expect(booting).rejects.toThrow('is not started: the demo is over')
  expect(['a', 'b', 'c'].map((id) => servers.pidOf(id))).toEqual([null, null, null])
  expect(deaths).toEqual([])
  await rm(folder, { recursive: true })
})
