import type { TimerSource } from '../proto/machine/timers.ts'

/** The timers of a server: when each one rings. */
export const serverTimers = {
  'every-tick': 'What is not on a timer of its own yet.',
  heartbeat: 'Says to the other servers that this one is here, and asks seeds that are not known yet who they are.',
  silence: 'Another server (key) was not heard of for so long that it counts as dead.',
  settle: 'This process has had the time to hear of everybody who is there.',
  rival: 'Two processes of one server (key) were asked who they are, and the present one has had the time to answer.',
  twin: 'A process that was refused, because another one runs under its id (key), is shown no longer.',
  prove: 'Asks again those that have not said yet how far they saw the log of this server reach.',
  'prove-patience': 'Serves, although too few have said how far they saw the log of this server reach.',
  'keep-positions': 'Writes down how far the logs of other servers were seen to reach, since they have grown by much.',
  'poll-again': 'Asks the arbiters a question (token) again.',
  'poll-patience':
    'Gives a question to the arbiters (token) up: too few of them are alive, or the time for it is over.',
  'proposal-again': 'Repeats a step of a proposal to the arbiters (topic), or begins again after a rival was ahead.',
  'proposal-silence': 'Says which arbiters are missing, while a proposal (topic) waits for them.',
  'engine-check': 'Asks an engine outside of the cluster (key) how it is.',
  'engine-again': 'Asks an engine outside of the cluster about an epoch (key) again.',
  'creation-again': 'Hands the first decision of a topic (key) again to members that have not started.',
  'creation-patience': 'Gives the making of a topic (key) up.',
} as const satisfies Record<string, string>

export type ServerTimer = keyof typeof serverTimers
export type ServerTimers = TimerSource<ServerTimer>
