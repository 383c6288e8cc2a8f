import type { TimerSource } from '../proto/machine/timers.ts'

/** The timers of a client: when each one rings. */
export const clientTimers = {
  introduction: 'No server has said yet to which cluster it belongs: all are asked again.',
  directory: 'Servers may have come and gone: a few are asked for the list.',
  question: 'A question has no answer yet: it goes to the next server.',
  look: 'Somebody waits for a topic, and no question about it is under way: it is looked for.',
  'add-silence':
    'A member owes acknowledgements: it is sent what it lacks, and its topic looked for where too many do.',
  'add-greeting': 'Something waits for a connection: members that are not connected are greeted.',
  'add-wedged': 'An epoch is being ended, and what comes after it has not been heard: the topic is looked for.',
  'add-room': 'A disk is full: its server is asked whether it has room again.',
  'get-grace': 'A Get has waited for its slowest members: it goes on without them.',
  'get-resend': 'Members have not answered a Get: they are asked again.',
  'get-store-back': 'Storing back takes too long: the Get begins again.',
  'get-again': 'No member has what a Get lacks: it begins again.',
  page: 'A member is silent about a page of bodies, or another one is to be asked: the next page is asked for.',
  bodies: 'The same for single bodies.',
  attend: 'The servers that this client reads from are asked after its subscriptions.',
  attendance: 'Servers that have not answered that are silent.',
  report: 'A member has not told yet what it has on disk: it is asked again.',
  deaf: 'Too few members tell what they have on disk: the topic is looked for.',
  source: 'Bodies may be missing that members report: where they do not come, another member is to send them.',
  ahead: 'A subscription waits in an epoch that it has not heard of: it asks for news.',
  cause: 'Something waits for what comes before it: where nobody holds that, the epoch is to end.',
  roll: 'The end of an epoch was asked for long ago: it may be asked for again.',
} as const satisfies Record<string, string>

export type ClientTimer = keyof typeof clientTimers
export type ClientTimers = TimerSource<ClientTimer>
