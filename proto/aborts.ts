/**
 * One listener at each signal, however many calls it ends: a signal with more than ten makes Node warn of a leak, and looks through
 * all of them whenever one is taken off.
 */
interface Listener {
  readonly runs: Set<() => void>
  readonly dispatch: () => void
}

const listeners = new WeakMap<AbortSignal, Listener>()

/**
 * Calls back once when the signal, which is not aborted yet, is aborted.
 * @returns takes it back; the signal has no listener any more once all are taken back
 */
export function onAbort(signal: AbortSignal, run: () => void): () => void {
  const { runs, dispatch } = listeners.get(signal) ?? listenTo(signal)
  // Of its own, should one function be added twice.
  const own = () => run()
  runs.add(own)
  return () => {
    if (!runs.delete(own) || runs.size > 0 || listeners.get(signal)?.runs !== runs) return
    listeners.delete(signal)
    // One of a library that throws here keeps a listener that calls nobody.
    try {
      signal.removeEventListener('abort', dispatch)
    } catch {}
  }
}

/** Puts a listener on and takes it off. @throws what the signal throws, where it is one of a library */
export function tryListening(signal: AbortSignal): void {
  const none = () => {}
  signal.addEventListener('abort', none, { once: true })
  signal.removeEventListener('abort', none)
}

function listenTo(signal: AbortSignal): Listener {
  const runs = new Set<() => void>()
  const dispatch = () => {
    listeners.delete(signal)
    for (const run of runs) callAlone(run)
  }
  const listener = { runs, dispatch }
  signal.addEventListener('abort', dispatch, { once: true })
  listeners.set(signal, listener)
  return listener
}

/** What one throws is reported as that of a listener of its own would be: the others are called all the same. */
function callAlone(run: () => void): void {
  try {
    run()
  } catch (error) {
    queueMicrotask(() => {
      throw error
    })
  }
}
