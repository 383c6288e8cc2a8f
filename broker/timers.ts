import type { TimerSource } from '../proto/machine/timers.ts'

/** The timers of a server, and what each one is for. The key of those of a topic is its name. */
export const serverTimers = {
  'every-tick': 'What is not on a timer of its own yet.',
  'catch-up': 'A later epoch than the own one is known, and not how the own one ended: a member of it is asked again.',
  'change-early': 'A change was asked for before this process had heard of all servers: it begins once it has.',
  'change-give-up': 'A step of a change that does not end is given up, and left to the members that wait for it.',
  'change-grace': 'Reports beyond those needed are waited for a moment.',
  'change-keep-alive': 'Clients that asked for a change are told that it goes on.',
  'change-next': 'A change has ended: the next one of its topic begins.',
  'change-pause': 'A rival was ahead: the next round begins after a pause.',
  'change-plan': 'A plan looks at what it waits for.',
  'change-resend': 'The message of this step of a change is sent again to members that have not answered.',
  'change-staging': 'No next member has staged anything for a while: others are asked, or reports are collected again.',
  'change-stalled': 'A decided epoch does not begin: the next change need not wait for it.',
  'feed-push': 'A subscription has more to come than fitted into one turn.',
  'feed-report': 'Subscribers are told again what is on disk here.',
  'feed-silence': 'A subscriber without a sign of life is forgotten.',
  'following-ends': 'A member that is read along with is told that it is not needed any more.',
  'get-expires': 'A Get that waits for messages has been begun anew by its client.',
  'hand-over': 'The next members are told the decision again until enough of them have started.',
  note: 'The configuration of an open epoch is noted with the arbiters.',
  'preload-abandoned': 'A plan that asked for bodies came to nothing.',
  'pull-room': 'A receiver of bodies has not taken what was sent before.',
  'repair-pull': 'A member that was asked for batches is silent.',
  'repair-report': 'Members tell each other what they have on disk, where it changed or differs.',
  replace: 'A member has been dead for as long as the mode is patient.',
  roll: 'A crowded epoch is ended.',
  'sequencer-records': 'Records of the sequencer are not acknowledged by all members yet.',
  'sequencer-silent': 'Messages may wait for a place that their sequencer does not give them.',
  'staged-for-nobody': 'Bodies are kept for a change whose coordinator is silent.',
  'staging-report': 'Coordinators are told how far staging is.',
  'start-vote': 'The vote for the start of the next epoch is sent again.',
  takeover: 'The coordinator that wedged an epoch is silent: this server finishes its change.',
  transfer: 'Bodies or decisions that a next member lacks are asked for.',
} as const satisfies Record<string, string>

export type ServerTimer = keyof typeof serverTimers
export type ServerTimers = TimerSource<ServerTimer>
