/** Configurations in words and in JSON. */
import { type Configuration, operationQuorum, toleratedFailures } from '../../proto/configuration.ts'
import { withoutInstance } from '../../proto/decider.ts'
import { serverIdOf } from '../../proto/ids.ts'

/** Their order means nothing: sorted, so that it looks the same everywhere. */
export function idsOf(configuration: Pick<Configuration, 'members'>): string[] {
  return configuration.members.map(({ name }) => serverIdOf(name)).sort()
}

export function configurationJson(configuration: Configuration): object {
  const { topic, epoch, mode, decider, members, membersMin, order, floor, base } = configuration
  return {
    topic,
    epoch,
    mode,
    decider: withoutInstance(decider),
    members: idsOf(configuration),
    minimum: membersMin,
    order,
    tolerates: toleratedFailures(mode, members.length),
    quorum: operationQuorum(configuration),
    floor,
    messagesBefore: base,
  }
}

export function count(number: number, one: string, many = `${one}s`): string {
  return `${number.toLocaleString('en-US')} ${number === 1 ? one : many}`
}

export function list(words: readonly string[]): string {
  return words.length === 0 ? 'nobody' : words.join(', ')
}

/** For JSON: no more digits than were measured. */
export function rounded(value: number): number {
  return Math.round(value * 1000) / 1000
}

export function milliseconds(value: number): string {
  if (value >= 10_000) return `${(value / 1000).toFixed(1)} s`
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`
}

/** Servers without space, in words. */
export function fullText(full: readonly string[]): string {
  return `the ${full.length === 1 ? 'disk' : 'disks'} of ${list(full)} ${full.length === 1 ? 'is' : 'are'} full`
}
