import { createInterface } from 'node:readline/promises'

/** Asks on a terminal; anything but yes is no. */
export async function confirm(question: string, signal: AbortSignal): Promise<boolean> {
  const asking = createInterface({ input: process.stdin, output: process.stderr })
  try {
    const answer = await asking.question(`${question} [y/N] `, { signal })
    return /^y(es)?$/i.test(answer.trim())
  } catch (error) {
    if (signal.aborted) throw signal.reason
    // Ctrl-C or Ctrl-D at the question is no.
    if (error instanceof Error && error.name === 'AbortError') return false
    throw error
  } finally {
    asking.close()
  }
}
