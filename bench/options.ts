/** Options that several commands take, and what they come to. */
import type { Command } from 'commander'
import { toMode, wholeNumber, wordOf } from '../broker/cli/arguments.ts'
import { type Mode, modes } from '../proto/configuration.ts'
import { EpochcastError } from '../proto/errors.ts'
import { parseSync, type Sync } from '../proto/sync.ts'
import { type Transport, transports } from './cluster/cluster.ts'
import type { PublishApi } from './load/contract.ts'
import { payloadBytesMin } from './load/payload.ts'

export interface CommonOptions {
  readonly json: boolean
  readonly out: string
  readonly data: string
  readonly keep: boolean
}

export interface LoadOptions extends CommonOptions {
  readonly mode: Mode
  readonly servers?: number
  readonly payload: number
  readonly publishers: number
  readonly publisherProcesses: number
  readonly topics: number
  readonly sync: Sync
  readonly transport: Transport
  readonly rate?: number
  readonly window: number
  readonly api: PublishApi
  readonly serveArgs: readonly string[]
}

const mebibyte = 1024 * 1024

export function addCommonOptions(command: Command): Command {
  return command
    .option('--out <dir>', 'where results and pictures are written', './bench-results')
    .option('--data <dir>', 'servers keep their logs in a new folder here: a real disk', process.env.TMPDIR ?? '/tmp')
    .option('--keep', 'keep those logs', false)
    .option('--json', 'one line of JSON at the end instead of tables', false)
}

/** @param defaultRate null: saturation */
export function addLoadOptions(command: Command, defaultRate: number | null): Command {
  const rateText =
    defaultRate === null
      ? 'messages per second of all publishers, sent when they are due (default: as many as it takes)'
      : 'messages per second of all publishers, sent when they are due; 0: as many as it takes'
  return command
    .option('--mode <mode>', modes.join(', '), toMode, 'fault-masking')
    .option(
      '--servers <n>',
      'how many servers the topics have (default: 3; fault-recovery 2, single 1)',
      number('servers', 1, 26),
    )
    .option('--payload <bytes>', 'bytes in a message', number('payload', payloadBytesMin, mebibyte), 128)
    .option('--publishers <n>', 'clients that publish', number('publishers', 1, 1000), 1)
    .option('--publisher-processes <n>', 'processes that they share', number('publisher processes', 1, 64), 1)
    .option('--topics <n>', 'topics that each of them publishes to, by turns', number('topics', 1, 10_000), 1)
    .option('--sync <when>', 'always, interval (50 ms), "interval MS" or memory: when servers flush', sync, 'always')
    .option('--transport <name>', 'what carries the frames', wordOf('transport', transports), 'tcp')
    .option('--rate <n>', rateText, number('rate', 0, 10_000_000), ...(defaultRate === null ? [] : [defaultRate]))
    .option(
      '--window <n>',
      'pending publishes of all publishers at most, and 64 MiB of each',
      number('window', 1, 5_000_000),
      20_000,
    )
    .option('--api <call>', 'publish, publishMany', wordOf('call', ['publish', 'publishMany'] as const), 'publish')
    .option('--serve-args <text>', 'what `epochcast serve` is told besides, separated by spaces', words, [])
}

export function number(what: string, min: number, max: number) {
  return wholeNumber(what, min, max)
}

/** Numbers from a list, separated by commas. */
export function numbers(what: string, min: number, max: number) {
  const one = wholeNumber(what, min, max)
  return (text: string): number[] => text.split(',').map((part) => one(part.trim()))
}

/** Seconds, with fractions. */
export function seconds(what: string, max = 24 * 3600) {
  return (text: string): number => {
    const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN
    if (value > 0 && value <= max) return value
    throw new EpochcastError(
      'EC_BAD_ARGUMENT',
      `${what} ${JSON.stringify(text)} is not a number of seconds up to ${max}`,
    )
  }
}

/** Which of these words, separated by commas; `all`: all of them. */
export function listOf<Word extends string>(what: string, all: readonly Word[]) {
  const one = wordOf(what, all)
  return (text: string): readonly Word[] => (text === 'all' ? all : text.split(',').map((part) => one(part.trim())))
}

/** Servers that a mode takes when nobody says how many. */
export function serversFor(mode: Mode, asked: number | undefined): number {
  const least = mode === 'single' ? 1 : mode === 'fault-recovery' ? 2 : 3
  if (asked === undefined) return least
  if (mode === 'single' ? asked === 1 : asked >= (mode === 'fault-masking' ? 3 : 2)) return asked
  throw new EpochcastError('EC_BAD_ARGUMENT', `${mode} does not run on ${asked} servers`, {
    hint: mode === 'single' ? 'it takes 1' : `it takes at least ${least}`,
  })
}

export function serveArgsOf(options: LoadOptions): readonly string[] {
  return [...(options.sync === 'always' ? [] : ['--sync', options.sync]), ...options.serveArgs]
}

/** Null: saturation. */
export function rateOf(options: LoadOptions): number | null {
  return options.rate === undefined || options.rate === 0 ? null : options.rate
}

export function topicNames(count: number): string[] {
  return Array.from({ length: count }, (_, at) => `bench-${at}`)
}

/** As `serve` takes it; an interval has a length where nobody says one. */
function sync(text: string): Sync {
  return parseSync(text === 'interval' ? 'interval 50' : text)
}

function words(text: string): string[] {
  return text.split(' ').filter((word) => word !== '')
}
