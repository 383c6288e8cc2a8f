/** Explores in a process of its own, from a copy of the source whose private fields can be read, with a planted bug or none. */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Edit } from '../mutants/mutant.ts'
import { SourceTree } from '../mutants/tree.ts'
import type { Exploration } from './explorer.ts'
import { openPrivateFields } from './private-fields.ts'
import type { ExploreRequest } from './probe.ts'

const run = promisify(execFile)

export class Explorations {
  readonly #tree = new SourceTree(openPrivateFields)

  /** @param edits a planted bug; none for the source as it is */
  async explore(request: ExploreRequest, edits: readonly Edit[] = []): Promise<Exploration[]> {
    const folder = edits.length === 0 ? this.#tree.base : this.#tree.copy(edits)
    const script = join(folder, 'test/explore/probe.js')
    try {
      const args = ['--max-old-space-size=6000', script, JSON.stringify(request)]
      const { stdout } = await run(process.execPath, args, { maxBuffer: 2 ** 26 })
      return stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as Exploration)
    } finally {
      if (edits.length > 0) this.#tree.drop(folder)
    }
  }

  close(): void {
    this.#tree.close()
  }
}
