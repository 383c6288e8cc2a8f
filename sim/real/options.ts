import { parseArgs } from 'node:util'

export interface RealOptions {
  /** How often each class is done, where the user says; others as usual, or not at all. */
  readonly counts: ReadonlyMap<string, number>
  /** Cycles of killing all servers at once; 0 where something else is asked for. */
  readonly killAll: number
  /** Processes that keep the processors busy beside those cycles. */
  readonly burners: number
  readonly seed: number
  readonly json: boolean
  readonly keep: boolean
  /** Where clusters and evidence live while they are needed. */
  readonly folder: string | null
  readonly deadlineSeconds: number
  /** Multiplies what is usual. */
  readonly times: number
}

export function usage(classes: readonly { readonly name: string; readonly about: string }[]): string {
  const list = classes.map(({ name, about }) => `  ${name.padEnd(20)}${about}`).join('\n')
  return `Usage: npm run real -- [options]

Breaks servers that are real processes, under load, and judges what their clients saw. Without a class, each class a few times.

  --kills N           N kills
  --power-cuts N      N power cuts, half of one server, half of all at once
  --kill-all N        nothing else, N times: kill -9 of all servers at once, under clients of every kind and topics of every mode
  --burners N         with --kill-all: N processes that keep the processors busy beside it
  --class NAME[=N]    this class, N times; may be repeated
  --times N           without a class: N times as often as usual
  --seed N            what is done when (default: by chance)
  --deadline SECONDS  begin nothing new after so long (default 3600)
  --folder DIR        where the clusters live (default: memory where there is some, else the temporary folder)
  --keep              keep the folder, also when all is well
  --json              one JSON line at the end instead of the table
  --help              print this

Classes:
${list}

Exit codes: 0 everything held; 1 something did not, the evidence is kept; 2 bad arguments; 3 nothing could run.
`
}

/** @returns what was asked for, `help`, or why it cannot be done */
export function parseOptions(
  args: readonly string[],
  known: readonly string[],
): RealOptions | 'help' | { problem: string } {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        kills: { type: 'string' },
        'power-cuts': { type: 'string' },
        'kill-all': { type: 'string' },
        burners: { type: 'string' },
        class: { type: 'string', multiple: true, default: [] },
        times: { type: 'string' },
        seed: { type: 'string' },
        deadline: { type: 'string' },
        folder: { type: 'string' },
        keep: { type: 'boolean', default: false },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    })
    if (values.help) return 'help'
    const counts = new Map<string, number>()
    if (values.kills !== undefined) counts.set('kill', whole('--kills', values.kills))
    const cuts = values['power-cuts'] === undefined ? 0 : whole('--power-cuts', values['power-cuts'])
    if (cuts > 0) counts.set('power-cut-one', Math.floor(cuts / 2))
    if (cuts > 0) counts.set('power-cut-all', Math.ceil(cuts / 2))
    for (const one of values.class) {
      const [name = '', count] = one.split('=')
      if (!known.includes(name)) throw new Error(`no class is called ${name}; there are ${known.join(', ')}`)
      counts.set(name, count === undefined ? -1 : whole('--class', count))
    }
    const killAll = values['kill-all'] === undefined ? 0 : whole('--kill-all', values['kill-all'])
    if (killAll > 0 && counts.size > 0) throw new Error('--kill-all goes with no other class')
    if (killAll === 0 && values.burners !== undefined) throw new Error('--burners goes with --kill-all')
    return {
      counts,
      killAll,
      burners: whole('--burners', values.burners ?? '0', 0),
      seed: values.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : whole('--seed', values.seed, 0),
      json: values.json,
      keep: values.keep,
      folder: values.folder ?? null,
      deadlineSeconds: whole('--deadline', values.deadline ?? '3600'),
      times: whole('--times', values.times ?? '1'),
    }
  } catch (error) {
    return { problem: error instanceof Error ? error.message : String(error) }
  }
}

function whole(name: string, text: string, min = 1): number {
  const value = Number(text)
  if (Number.isInteger(value) && value >= min && value <= 2 ** 31) return value
  throw new Error(`${name} takes a whole number of at least ${min}, not ${JSON.stringify(text)}`)
}
