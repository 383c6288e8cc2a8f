/** Prints the message table as a page for people: `docs/messages.md`. */
import { destinations, type Entry, phases, senders } from './entry.ts'
import { protocols } from './messages.ts'
import { type RecordName, recordTable } from './records.ts'

const titles: Readonly<Record<keyof typeof protocols, string>> = {
  publish: 'Publish',
  read: 'Read',
  transfer: 'Transfer',
  change: 'Change of an epoch',
  decide: 'Decide',
  find: 'Find',
  servers: 'Servers',
}

const outcomes = {
  handle: 'done',
  bring: 'the message brings the topic to the server, and is handled',
  empty: 'answered from a replica without anything in it, which is not kept',
  wedged: 'refused: the epoch is being ended',
  moved: 'refused: the epoch is over, with the decision that ended it',
  'not-yet': 'refused: the epoch has not begun here',
  drop: 'not answered',
} as const

const head = `# Messages

Printed from the tables in \`proto/wire/messages/\` by \`npm run schema\`; do not edit. \`proto/wire/schema.proto\` has their fields.

A server takes a frame when the sender is the one that **from** names; then each part that **to** names receives it. What the replica of a
topic does with a message depends on the phase of the topic at that server. A frame that is not taken is counted by reason and kind.
`

/** @returns the text of `docs/messages.md` */
export function printMessages(): string {
  const sections = (Object.keys(titles) as (keyof typeof protocols)[]).map((protocol) =>
    section(titles[protocol], Object.entries(protocols[protocol] as Readonly<Record<string, Entry>>)),
  )
  const words = [
    list('From', senders),
    list('To', destinations),
    `## Phases\n\n${phases.map((phase) => `\`${phase}\``).join(', ')}: see \`proto/wire/entry.ts\`. What is done:\n\n${rows(outcomes)}\n`,
  ]
  return [head, ...words, ...sections, printRecords()].join('\n')
}

function section(title: string, entries: readonly (readonly [string, Entry])[]): string {
  const lines = entries.map(([kind, entry]) => {
    const to = [entry.to, ...(entry.and ?? [])].join(', ')
    const from = entry.answer === undefined ? entry.from : `${entry.from}; as an answer ${entry.answer}`
    const figure = entry.figure === undefined ? '' : ` Figure: ${entry.figure}.`
    return [`\`${kind}\``, `${entry.number}`, `${entry.since}`, from, to, `${entry.means}${figure}`]
  })
  const members = entries.flatMap(([kind, entry]) =>
    entry.to === 'member' ? [[`\`${kind}\``, entry.epoch, ...phases.map((phase) => entry.phases[phase])]] : [],
  )
  const all = table(['message', 'number', 'since', 'from', 'to', 'meaning'], lines)
  const byPhase = members.length === 0 ? '' : `\n\n${table(['message', 'epoch', ...phases], members)}`
  return `## ${title}\n\n${all}${byPhase}\n`
}

function printRecords(): string {
  const lines = (Object.keys(recordTable) as RecordName[]).map((name) => {
    const { number, since, means } = recordTable[name]
    return [`\`${name}\``, `${number}`, `${since}`, means]
  })
  const which = 'Most are messages too; `opening`, `remembered` and `lives` are written alone, and refused as messages.'
  return `## Records of the log\n\n${which}\n\n${table(['record', 'number', 'since', 'meaning'], lines)}\n`
}

function list(title: string, words: Readonly<Record<string, string>>): string {
  return `## ${title}\n\n${rows(words)}\n`
}

function rows(words: Readonly<Record<string, string>>): string {
  return Object.entries(words)
    .map(([word, meaning]) => `- \`${word}\`: ${meaning}`)
    .join('\n')
}

/** Columns are as wide as their longest cell. */
function table(head: readonly string[], lines: readonly (readonly string[])[]): string {
  const widths = head.map((title, at) => Math.max(title.length, ...lines.map((cells) => cells[at]?.length ?? 0)))
  const row = (cells: readonly string[]) => `| ${cells.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join(' | ')} |`
  return [row(head), row(widths.map((width) => '-'.repeat(width))), ...lines.map(row)].join('\n')
}
