import pc from 'picocolors'

export type Colors = ReturnType<typeof pc.createColors>

/** Colours where a person looks and did not ask for none. */
export function colorsFor(stream: NodeJS.WriteStream): Colors {
  return pc.createColors(stream.isTTY === true && process.env.NO_COLOR === undefined && process.env.TERM !== 'dumb')
}
