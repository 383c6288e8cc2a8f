/** What a check said: the check's name, and its sentence. */
export interface Finding {
  /** A rule (I4), a stop of a server by itself (`stop I7`), a call that never ends (`hang`), a crash, or `trace`. */
  readonly check: string
  readonly text: string
}

/** The check that speaks in a line of a scenario, of a sweep or of the recorder; null for a line that is none. */
export function findingOf(line: string): Finding | null {
  const stopped = /^server (\S+) (?:is )?stopped: (.*)$/s.exec(line)
  if (stopped !== null) return { check: `stop ${/\b(I\d+|log)\b/.exec(stopped[2] ?? '')?.[1] ?? 'error'}`, text: line }
  const said = /^(?:VIOLATION )?([A-Z][A-Z-]*\d*): /.exec(line)
  if (said !== null) return { check: said[1] ?? '', text: line }
  if (/ hangs$/.test(line)) return { check: 'hang', text: line }
  return null
}
