/**
 * Every class of fault that the simulator can bring about. `drawn` ones stand in plans; the others are situations that drawn
 * ones, changes, orders and chance lead to, and that are noticed when they come.
 */
export const faultClasses = {
  N1: { drawn: true, text: 'frames are lost' },
  N2: { drawn: true, text: 'frames come twice, at once or much later' },
  N3: { drawn: true, text: 'frames overtake each other' },
  N4: { drawn: true, text: 'a heavy tail of delays' },
  N5: { drawn: true, text: 'a full partition' },
  N6: { drawn: true, text: 'a partition in one direction' },
  N7: { drawn: true, text: 'two that do not reach each other, and both reach the rest' },
  N8: { drawn: true, text: 'one is cut off from everybody' },
  N9: { drawn: true, text: 'the links of one are slow' },
  N10: { drawn: true, text: 'a connection is reset, and what was on its way is lost' },
  N11: { drawn: true, text: 'a link goes down and up again and again' },
  N12: { drawn: true, text: 'old frames come again, also those of earlier epochs' },
  P1: { drawn: true, text: 'a server is killed and comes back with its disk' },
  P2: { drawn: true, text: 'a server dies right after it gave a reply to the network' },
  P3: { drawn: true, text: 'a server dies between the flush and the reply' },
  P4: { drawn: true, text: 'all servers lose power at once' },
  P5: { drawn: true, text: 'a server comes back under its id with an empty disk' },
  P5b: { drawn: false, text: 'frames of its old life come to a server that lost its disk' },
  P6: { drawn: true, text: 'a server comes back with an old state of its disk' },
  P8: { drawn: true, text: 'a server stands still for long, and goes on' },
  P9: { drawn: true, text: 'a server stands still for a moment, and goes on' },
  P10: { drawn: true, text: 'a client dies with operations under way, and comes back' },
  C1: { drawn: true, text: 'wall clocks jump by hours and years' },
  C2: { drawn: true, text: 'time goes at another speed at each server' },
  C3: { drawn: true, text: 'wall clocks are somewhere else at every reading' },
  D1: { drawn: false, text: 'a power cut loses a part of the sectors that were not flushed' },
  D2: { drawn: false, text: 'a power cut keeps a part of what was being written: a torn tail' },
  D3: { drawn: false, text: 'a later sector survived a power cut and an earlier one did not' },
  D4: { drawn: true, text: 'a flush fails once' },
  D8: { drawn: true, text: 'a disk is full' },
  D10: { drawn: true, text: 'flushes are slow, or hang' },
  R1: { drawn: false, text: 'several coordinators work on the end of one epoch' },
  R2: { drawn: false, text: 'an epoch is ended right after it began' },
  R3: { drawn: false, text: 'next members are all others, fewer, or more' },
  R4: { drawn: false, text: 'a next member is down when its epoch is decided' },
  R5: { drawn: false, text: 'changes are decided in another order than asked for' },
  R6: { drawn: true, text: 'a coordinator dies between two steps, decided by stakes' },
  R7: { drawn: true, text: 'a coordinator dies between two steps, decided by an engine' },
  R8: { drawn: true, text: 'the decision engine is not reached, or its replies are lost' },
  R10: { drawn: false, text: 'a client is told of an epoch two or more ahead' },
  R11: { drawn: false, text: 'a member of an old epoch comes back and redirects' },
  R13: { drawn: false, text: 'a server dies while messages are carried over' },
  R14: { drawn: false, text: 'a wedge comes while stores are on their way to the disk' },
  R15: { drawn: false, text: 'an accept comes to a member that was never wedged' },
  R16: { drawn: false, text: 'a start comes to a server that is not there yet, or that lacks what was before' },
  R18: { drawn: false, text: 'a member of the old epoch opens the next one' },
  R19: { drawn: false, text: 'an Add is under way when its epoch ends' },
  R20: { drawn: true, text: 'live servers are suspected' },
  R21: { drawn: false, text: 'a coordinator dies for good and another server finishes' },
  R22: { drawn: false, text: 'a client learns of several epochs at once' },
  E1: { drawn: false, text: 'an engine outside of the cluster decides' },
  E2: { drawn: true, text: 'an outside engine is down' },
  E3: { drawn: true, text: 'an outside engine takes what it is asked, and nobody hears of it' },
  E4: { drawn: true, text: 'an outside engine is slow' },
  E5: { drawn: true, text: 'some calls of an outside engine are lost, or their answers' },
  S1: { drawn: false, text: 'a subscriber in causal order is given an answer after its cause' },
  S2: { drawn: false, text: 'the positions of a total order go on in another epoch' },
  S3: { drawn: false, text: 'what was given early is confirmed' },
  S4: { drawn: false, text: 'what was given early is retracted' },
  S5: { drawn: false, text: 'a server that orders messages dies' },
  S6: { drawn: false, text: 'two topics are given as one causal stream' },
  S7: { drawn: false, text: 'a second topic begins another epoch' },
  S8: { drawn: false, text: 'a message is given whose cause was dropped' },
  D11: { drawn: true, text: 'files of a server that is down are deleted' },
  D12: { drawn: true, text: 'files of a server that is down are emptied or cut' },
  D13: {
    drawn: true,
    text: 'files of a server that is down are exchanged for older ones, or for those of another server',
  },
} as const satisfies Record<string, { readonly drawn: boolean; readonly text: string }>

export type FaultId = keyof typeof faultClasses
export const faultIds = Object.keys(faultClasses) as readonly FaultId[]

/** How often each class was reached. */
export type Reached = Map<FaultId, number>

export function reach(reached: Reached, id: FaultId): void {
  reached.set(id, (reached.get(id) ?? 0) + 1)
}
