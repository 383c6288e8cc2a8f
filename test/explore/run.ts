/** Explores in a process of its own, from a copy of the source whose private fields can be read, with a planted bug or none. */
import { join } from 'node:path'
import { runChild } from '../../bench/child-process.ts'
import type { Edit } from '../mutants/mutant.ts'
import { SourceTree } from '../mutants/tree.ts'
import type { Exploration } from './explorer.ts'
import { openPrivateFields } from './private-fields.ts'
import type { ExploreRequest } from './probe.ts'

export class Explorations {
  readonly #tree = new SourceTree(openPrivateFields)

  /** @param edits a planted bug; none for the source as it is */
  async explore(request: ExploreRequest, edits: readonly Edit[] = []): Promise<Exploration[]> {
    const folder = edits.length === 0 ? this.#tree.base : this.#tree.copy(edits)
    const script = join(folder, 'test/explore/probe.js')
    try {
      const args = ['--max-old-space-size=6000', script, JSON.stringify(request)]
      const { code, signal, stdout, stderr } = await runChild(process.execPath, args)
      if (code !== 0) throw new Error(`the exploration ended with ${signal ?? code}: ${stderr}`)
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
