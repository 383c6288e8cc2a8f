/** "Did you mean": the known word that takes the fewest edits, when few enough of its letters change. */

/**
 * @returns the nearest of `words` by edits (insert, remove, replace, swap two neighbours); undefined when none is near
 */
export function closest(word: string, words: Iterable<string>): string | undefined {
  let best: string | undefined
  // Of a word of one or two letters nothing is left after an edit.
  let bestDistance = (word.length < 3 ? 0 : Math.max(1, Math.floor(word.length / 3))) + 1
  for (const candidate of words) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase())
    if (distance >= bestDistance) continue
    best = candidate
    bestDistance = distance
  }
  return best
}

/** `; did you mean x?`, or nothing. */
export function didYouMean(word: string, words: Iterable<string>): string {
  const near = closest(word, words)
  return near === undefined ? '' : `; did you mean ${near}?`
}

function editDistance(one: string, other: string): number {
  let before: number[] = []
  let previous = Array.from({ length: other.length + 1 }, (_, at) => at)
  for (let row = 1; row <= one.length; row++) {
    const current = [row]
    for (let column = 1; column <= other.length; column++) {
      const isSame = one[row - 1] === other[column - 1]
      const replaced = (previous[column - 1] ?? 0) + (isSame ? 0 : 1)
      const moved = Math.min(replaced, (previous[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1)
      const isSwap = row > 1 && column > 1 && one[row - 1] === other[column - 2] && one[row - 2] === other[column - 1]
      current.push(isSwap ? Math.min(moved, (before[column - 2] ?? 0) + 1) : moved)
    }
    before = previous
    previous = current
  }
  return previous[other.length] ?? one.length
}
