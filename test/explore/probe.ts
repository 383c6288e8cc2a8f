/** Runs in a process of its own, from a copy of the source whose private fields can be read. Prints one line of JSON each. */
import { Explorer } from './explorer.ts'
import { scopes } from './scopes.ts'

export interface ExploreRequest {
  readonly scopes: readonly string[]
  readonly statesMax: number
  readonly budgetMs: number
}

const request: ExploreRequest = JSON.parse(process.argv[2] ?? '{}')
for (const scope of scopes) {
  if (request.scopes.length > 0 && !request.scopes.includes(scope.name)) continue
  const found = new Explorer(scope).run(request.statesMax, request.budgetMs)
  process.stdout.write(`${JSON.stringify(found)}\n`)
}
