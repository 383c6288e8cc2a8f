import type { Files } from './files.ts'
import { unfinishedName } from './segment-name.ts'

/** Replaces a small file as a whole: after a crash there is the old one or the new one. */
export async function replaceFile(files: Files, name: string, text: string): Promise<void> {
  const bytes = Buffer.from(text)
  const temporaryName = unfinishedName(name)
  const file = await files.create(temporaryName, bytes.length)
  try {
    await file.writev([bytes], 0)
    await file.datasync()
  } finally {
    await file.close()
  }
  await files.rename(temporaryName, name)
  await files.flushDirectory()
}
