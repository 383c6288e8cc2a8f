/** Why no server answers, address by address, in the words of people and as the cause of one error. */
import { EpochcastError } from '../proto/errors.ts'
import type { Address } from '../proto/ids.ts'

/** What a system's error means for an address. */
const meanings: Readonly<Record<string, string>> = {
  ENOTFOUND: 'its name does not resolve',
  EAI_AGAIN: 'its name cannot be looked up now',
  ECONNREFUSED: 'nothing listens there',
  ECONNRESET: 'it breaks the connection',
  ETIMEDOUT: 'no answer',
  EHOSTUNREACH: 'there is no way to that host',
  ENETUNREACH: 'there is no way to that network',
  EACCES: 'the system does not allow it',
  EPERM: 'the system does not allow it',
}

/** @param troubleOf why an address was not reached; null where nothing is known */
export function unreachable(
  addresses: readonly Address[],
  troubleOf: (address: Address) => Error | null,
  hint: string,
): EpochcastError {
  const troubles: Error[] = []
  const reasons = addresses.map((address) => {
    const trouble = troubleOf(address)
    if (trouble === null) return `${address} (no answer)`
    troubles.push(trouble)
    return `${address} (${reasonOf(trouble)})`
  })
  const text = `no server answers at ${reasons.join(', ')}`
  const [only] = troubles
  const cause = troubles.length > 1 ? new AggregateError(troubles, text) : only
  return new EpochcastError('EC_UNREACHABLE', text, { hint, cause })
}

function reasonOf(trouble: Error): string {
  if (trouble instanceof EpochcastError) return trouble.message
  // Several addresses of one name were tried.
  const one: unknown = trouble instanceof AggregateError ? (trouble.errors[0] ?? trouble) : trouble
  const { code, message } = one as NodeJS.ErrnoException
  const meaning = code === undefined ? undefined : meanings[code]
  return meaning === undefined ? (code ?? message) : `${code}: ${meaning}`
}
