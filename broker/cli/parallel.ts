/**
 * Does something with each of several things, with at most `atOnce` of them at a time.
 * @returns what came of each, in the order of the things
 */
export async function inParallel<Thing, Result>(
  things: readonly Thing[],
  atOnce: number,
  act: (thing: Thing) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = []
  const rest = things.entries()
  const worker = async () => {
    for (const [at, thing] of rest) results[at] = await act(thing)
  }
  await Promise.all(Array.from({ length: atOnce }, worker))
  return results
}
