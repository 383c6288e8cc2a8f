/** What the model is asked: as it is, in several sizes, and with every planted bug of the design. */
export interface Variant {
  readonly name: string
  /** Macros of `epoch-change.pml`. */
  readonly defines: Readonly<Record<string, number>>
  readonly holds: boolean
  /** Too large for every run of the tests. */
  readonly nightly?: boolean
  /** Perhaps too large to be searched to its end: as many states as a limit of memory allows. */
  readonly bounded?: boolean
}

const masking = 1
const recovery = 0

const designs: readonly Variant[] = [
  {
    name: 'fault-masking to fault-masking, two coordinators',
    defines: { MODE0: masking, MODE1: masking },
    holds: true,
  },
  { name: 'fault-masking to fault-recovery', defines: { MODE0: masking, MODE1: recovery }, holds: true },
  { name: 'fault-recovery to fault-masking', defines: { MODE0: recovery, MODE1: masking }, holds: true },
  { name: 'fault-recovery to fault-recovery', defines: { MODE0: recovery, MODE1: recovery }, holds: true },
  {
    name: 'two changes, one coordinator each',
    defines: { CHANGES: 2, K: 1, K2: 1 },
    holds: true,
  },
  {
    name: 'two changes, two coordinators, then one',
    defines: { CHANGES: 2, K: 2, K2: 1 },
    holds: true,
    nightly: true,
    bounded: true,
  },
  {
    name: 'fault-recovery twice',
    defines: { MODE0: recovery, MODE1: recovery, MODE2: recovery, CHANGES: 2, K: 2, K2: 1 },
    holds: true,
    nightly: true,
  },
  {
    name: 'fault-masking to fault-recovery and back',
    defines: { MODE0: masking, MODE1: recovery, MODE2: masking, CHANGES: 2, K: 2, K2: 1 },
    holds: true,
    nightly: true,
    bounded: true,
  },
  { name: 'three coordinators', defines: { K: 3 }, holds: true, nightly: true, bounded: true },
]

/** Each must have a counterexample. */
const bugs: readonly (readonly [name: string, bug: string, more?: Record<string, number>])[] = [
  ['a decision by reference, without staging', 'BUG_NO_STAGING'],
  ['one staged holder instead of a quorum', 'BUG_ONE_HOLDER'],
  ['staged bodies dropped before the decision is known', 'BUG_STAGED_DROPPED'],
  ['staged bodies counted as stored', 'BUG_STAGED_REPORTED'],
  ['staged bodies served', 'BUG_STAGED_SERVED'],
  ['a member that has not begun reports', 'BUG_UNBEGUN_REPORTS', { CHANGES: 2, K: 1, K2: 1 }],
  [
    'a member that has not begun accepts, and forgets it when it begins',
    'BUG_UNBEGUN_ACCEPTS',
    { CHANGES: 2, K: 1, K2: 2 },
  ],
  ['a volatile wedge', 'BUG_VOLATILE_WEDGE'],
  ['a volatile promise', 'BUG_VOLATILE_PROMISE'],
  ['a reply before the accept is on disk', 'BUG_VOLATILE_ACCEPT'],
  ['stores after the wedge', 'BUG_STORES_AFTER_WEDGE'],
  ['a report without the Adds in flight', 'BUG_REPORT_WITHOUT_FLYING'],
  ['too few reports collected', 'BUG_COLLECTS_TOO_FEW'],
  ['too few members complete an Add', 'BUG_MINORITY_COMPLETES'],
  ['reported proposals not adopted', 'BUG_ADOPTS_NOTHING'],
  ['the lowest stake adopted', 'BUG_FIRST_ADOPTED', { K: 3 }],
  ['an adopter that changes the members', 'BUG_ADOPTER_CHANGES_MEMBERS'],
  ['an accept below the promise', 'BUG_ACCEPT_IGNORES_PROMISE'],
  ['start votes counted across stakes', 'BUG_VOTES_ACROSS_STAKES'],
  ['start votes for equal decisions of different stakes', 'BUG_VOTES_OF_EQUAL_DECISIONS'],
  ['one start vote', 'BUG_ONE_VOTE'],
]

export const variants: readonly Variant[] = [
  ...designs,
  ...bugs.map(([name, bug, more]) => ({ name, defines: { ...more, [bug]: 1 }, holds: false })),
]
