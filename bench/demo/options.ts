import { parseArgs } from 'node:util'

export interface DemoOptions {
  /** Text file whose lines are streamed; null: one is made from the project's own texts. */
  readonly input: string | null
  /** At most so many lines of a given file; as many as that of the made one. */
  readonly lines: number | null
  readonly json: boolean
  readonly keep: boolean
  /** Whole run; when it is over, the demo ends itself with a diagnosis. */
  readonly deadlineSeconds: number
  readonly transport: (typeof transports)[number]
  readonly engine: (typeof engines)[number]
  /** Servers that run already; null: the demo starts its own. */
  readonly nats: string | null
  readonly redis: string | null
}

export const transports = ['tcp', 'nats'] as const
/** Who decides: the cluster's own arbiters and members, or an engine outside of it. */
export const engines = ['built-in', 'nats', 'redis'] as const

export const usage = `Usage: npm run demo -- [options]

Starts eight servers as processes of their own, streams every line of a text through one topic, kills servers and changes
membership and mode meanwhile, and checks that two subscribers get every line exactly once.

  --input PATH        stream this file (default: one made from the project's own texts)
  --lines N           number of lines (default: all of a given file, 100000 of the made one)
  --transport NAME    how they reach each other: ${transports.join(' or ')} (default tcp)
  --engine NAME       who decides: ${engines.join(', ')} (default built-in). With nats, three servers of it, whose leader is
                      killed during a change
  --nats URL          a NATS that runs already, instead of starting one (its leader is left alone)
  --redis URL         a Redis that runs already, instead of starting one
  --json              print one JSON line instead of the table
  --keep              keep the servers' data directories and logs
  --deadline SECONDS  give up after so long (default 120)
  --help              print this
`

const linesMax = 50_000_000
const deadlineSecondsMax = 24 * 3600

/** @returns what was asked for, `help`, or why it cannot be done */
export function parseOptions(args: readonly string[]): DemoOptions | 'help' | { readonly problem: string } {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        input: { type: 'string' },
        lines: { type: 'string' },
        json: { type: 'boolean', default: false },
        keep: { type: 'boolean', default: false },
        deadline: { type: 'string' },
        transport: { type: 'string' },
        engine: { type: 'string' },
        nats: { type: 'string' },
        redis: { type: 'string' },
        help: { type: 'boolean', short: 'h', default: false },
      },
    })
    if (values.help) return 'help'
    return {
      input: values.input ?? null,
      lines: values.lines === undefined ? null : whole('--lines', values.lines, linesMax),
      json: values.json,
      keep: values.keep,
      transport: word('--transport', values.transport ?? 'tcp', transports),
      engine: word('--engine', values.engine ?? 'built-in', engines),
      nats: values.nats ?? null,
      redis: values.redis ?? null,
      deadlineSeconds: whole('--deadline', values.deadline ?? '120', deadlineSecondsMax),
    }
  } catch (error) {
    return { problem: error instanceof Error ? error.message : String(error) }
  }
}

function word<Word extends string>(name: string, text: string, words: readonly Word[]): Word {
  const known = words.find((one) => one === text)
  if (known !== undefined) return known
  throw new Error(`${name} is ${words.join(' or ')}, not ${JSON.stringify(text)}`)
}

function whole(name: string, text: string, max: number): number {
  const value = Number(text)
  if (Number.isInteger(value) && value >= 1 && value <= max) return value
  throw new Error(`${name} takes a whole number from 1 to ${max}, not ${JSON.stringify(text)}`)
}
