/** The lines that are streamed: of any file, byte for byte, or of one made from the project's own texts. */
import { createReadStream, createWriteStream, existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { fileURLToPath } from 'node:url'

const textNames = /\.(md|ts|txt)$/
const foldersLeftOut = new Set(['node_modules', 'dist', 'coverage', 'data'])

/** Writes `count` lines, each of them unique by its number. */
export async function makeInput(path: string, count: number): Promise<void> {
  const texts = await projectLines(projectFolder())
  if (texts.length === 0) throw new Error(`no texts to stream under ${projectFolder()}; name a file with --input`)
  const lines = function* () {
    for (let number = 1; number <= count; number++) yield `${number} ${texts[(number - 1) % texts.length]}\n`
  }
  await pipeline(Readable.from(lines()), createWriteStream(path))
}

export async function countLines(path: string, max: number): Promise<number> {
  let count = 0
  for await (const _ of readLines(path, max)) count++
  return count
}

/** Lines without their ends. Bytes stay what they are, whatever their encoding. */
export async function* readLines(path: string, max: number): AsyncGenerator<Buffer, void, undefined> {
  const stream = createReadStream(path, { encoding: 'latin1', highWaterMark: 1024 * 1024 })
  let count = 0
  try {
    for await (const line of createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY })) {
      if (count++ >= max) return
      yield Buffer.from(line, 'latin1')
    }
  } finally {
    stream.destroy()
  }
}

async function projectLines(folder: string): Promise<string[]> {
  const lines: string[] = []
  const entries = await readdir(folder, { withFileTypes: true })
  for (const entry of entries.sort((one, other) => (one.name < other.name ? -1 : 1))) {
    if (entry.name.startsWith('.') || foldersLeftOut.has(entry.name)) continue
    const path = join(folder, entry.name)
    if (entry.isDirectory()) lines.push(...(await projectLines(path)))
    else if (textNames.test(entry.name)) lines.push(...(await readFile(path, 'utf8')).split('\n'))
  }
  return lines
}

/** The folder with package.json, from the sources as well as from dist/. */
function projectFolder(): string {
  let folder = dirname(fileURLToPath(import.meta.url))
  while (!existsSync(join(folder, 'package.json')) && folder !== dirname(folder)) folder = dirname(folder)
  return folder
}
