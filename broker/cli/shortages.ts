/** What people are told of a server that is short of something while it goes on. */
import type { Shortage } from '../../proto/shortage.ts'
import type { Context } from './context.ts'

interface Words {
  /** What the server does not do meanwhile. */
  readonly text: string
  readonly hint: string
  readonly over: string
  /** In a table. */
  readonly state: string
}

export const shortageWords: Record<Shortage, Words> = {
  space: {
    text: 'its disk is full: it takes no messages until there is space again',
    hint: 'free space on it, or move its topics to other servers: epochcast reconfig',
    over: 'there is space on its disk again: it takes messages',
    state: 'disk full',
  },
  descriptors: {
    text: 'it has as many open connections as its limit of open files allows, and refuses new ones',
    hint: 'close what is not needed, or raise the limit (ulimit -n, LimitNOFILE=) and restart it',
    over: 'it takes new connections again',
    state: 'no descriptors',
  },
}

/** One line on stderr when a shortage begins, and one when it is over. */
export function warnOfShortage(context: Context, server: string, shortage: Shortage, begins: boolean): void {
  const { text, hint, over } = shortageWords[shortage]
  if (begins) context.warn(`server ${server}: ${text}; ${hint}`)
  else context.note(`server ${server}: ${over}`)
}
