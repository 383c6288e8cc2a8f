/**
 * Scenario files: comment lines, and blocks of commands, `----`, and what is expected. A blank line ends a block.
 *
 *     # why
 *     add client=x value=a
 *     ----
 *     x: a is durable in epoch 1
 */

export interface Command {
  readonly name: string
  /** Words without `=`. */
  readonly words: readonly string[]
  readonly options: ReadonlyMap<string, string>
  readonly line: string
}

export interface Block {
  /** Comments and blank lines in front of it. */
  readonly before: readonly string[]
  readonly commands: readonly Command[]
  readonly expected: readonly string[]
}

export interface ScenarioFile {
  readonly blocks: readonly Block[]
  readonly after: readonly string[]
  /** The text of a `# open:` line: the product does not do yet what is expected here. */
  readonly open: string | null
}

export function parseScenario(text: string): ScenarioFile {
  const lines = text.split('\n')
  if (lines[lines.length - 1] === '') lines.pop()
  const blocks: Block[] = []
  let before: string[] = []
  let at = 0
  while (at < lines.length) {
    const line = lines[at] ?? ''
    if (line === '' || line.startsWith('#')) {
      before.push(line)
      at++
      continue
    }
    const commands: Command[] = []
    while (at < lines.length && lines[at] !== '----') {
      const text = lines[at++] ?? ''
      if (text === '') throw new Error(`line ${at}: a block without ----`)
      if (!text.startsWith('#')) commands.push(parseCommand(text))
      else throw new Error(`line ${at}: a comment inside of a block`)
    }
    at++
    const expected: string[] = []
    while (at < lines.length && lines[at] !== '') expected.push(lines[at++] ?? '')
    blocks.push({ before, commands, expected })
    before = []
  }
  const open = lines.find((line) => line.startsWith('# open:'))
  return { blocks, after: before, open: open === undefined ? null : open.slice('# open:'.length).trim() }
}

export function formatScenario({ blocks, after }: ScenarioFile): string {
  const lines: string[] = []
  for (const { before, commands, expected } of blocks) {
    lines.push(...before, ...commands.map(({ line }) => line), '----', ...expected)
  }
  return `${[...lines, ...after].join('\n')}\n`
}

function parseCommand(line: string): Command {
  const [name, ...rest] = line.split(' ').filter((word) => word !== '')
  const words = rest.filter((word) => !word.includes('='))
  const options = new Map<string, string>()
  for (const word of rest) {
    const at = word.indexOf('=')
    if (at > 0) options.set(word.slice(0, at), word.slice(at + 1))
  }
  return { name: name ?? '', words, options, line }
}
