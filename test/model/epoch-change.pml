/*
 * The epoch change, two in a row: wedge, collect, stage, decide, start. Source: Figures 4 and 6 with what this project adds:
 * bodies are staged at a quorum of the next members before anything is proposed; promise and accept are two variables; only a
 * member that has begun an epoch reports or accepts in it.
 *
 * Servers 0 to 3, one Add in each epoch. What was sent stays sent and may arrive at any later time, in any order, or never;
 * a server or coordinator that takes no further step is dead. Coordinator k of an epoch has stake k.
 *
 * MODE0, MODE1, MODE2 (1 fault-masking by stakes, 0 fault-recovery by an engine) are the modes of the three epochs, CHANGES
 * how many of the two changes there are, K and K2 how many coordinators they have. BUG_... plants one bug of the design.
 */
#ifndef MODE0
#define MODE0 1
#endif
#ifndef MODE1
#define MODE1 1
#endif
#ifndef MODE2
#define MODE2 1
#endif
#ifndef CHANGES
#define CHANGES 1
#endif
#ifndef K
#define K 2
#endif

/* Coordinators of the second change. */
#ifndef K2
#define K2 K
#endif

#define N 4
#if K2 > K
#define KMAX K2
#else
#define KMAX K
#endif
#define S1 (KMAX + 1)
#define at(e, k) ((e) * S1 + (k))
#define bit(s) (1 << (s))
#define has(mask, s) (((mask) >> (s)) & 1)
#define count(mask) (((mask) & 1) + (((mask) >> 1) & 1) + (((mask) >> 2) & 1) + (((mask) >> 3) & 1))
#define masking(e) ((e) == 0 -> MODE0 : ((e) == 1 -> MODE1 : MODE2))
#define most(mask) (count(mask) / 2 + 1)
/* Members that complete an Add, and that must have staged or started. */
#define quorum(e, mask) (masking(e) -> most(mask) : count(mask))
#define reports(e, mask) (masking(e) -> most(mask) : 1)

/* A decision: the next members, and whether the closing set holds the epoch's Add; 0 for none. */
#define value(members, closing) (((members) << 1) | (closing))
#define membersOf(v) ((v) >> 1)
#define closingOf(v) ((v) & 1)

/* Members of each epoch, 0 while it is not decided. */
byte members[3];
/* Masks of servers, by epoch. */
byte begun[3];
byte wedged[2];
byte stored[2];
byte staged[2];
/* Stored, and on its way to the disk or just acknowledged. */
byte flying[2];
/* What a wedged server reported first. */
byte reported[2];
byte reportedWith[2];
/* Acceptors: promised and accepted stake of each server. */
byte promised[2 * N];
byte accepted[2 * N];
/* Coordinators: who reported, the union, and the accepted stake to adopt. */
byte heard[2 * S1];
byte unionOf[2 * S1];
byte adopted[2 * S1];
/* What each proposes, whether it has done so, and who accepted. */
byte proposal[2 * S1];
byte proposed[2 * S1];
byte votes[2 * S1];
/* Acknowledged by a quorum, or given to a reader. */
bit durable[2];
byte chosen[2];

byte e, s, k, v, n;

/* Where a planted bug takes the place of what is right. */
#ifdef BUG_MINORITY_COMPLETES
#define completes(e, mask) (quorum(e, mask) - 1)
#else
#define completes(e, mask) quorum(e, mask)
#endif
#ifdef BUG_STORES_AFTER_WEDGE
#define takesStores(e, s) true
#else
#define takesStores(e, s) (!has(wedged[e], s))
#endif
#ifdef BUG_REPORT_WITHOUT_FLYING
#define inFlight(s) bit(s)
#else
#define inFlight(s) 0
#endif
#if defined(BUG_UNBEGUN_REPORTS) || defined(BUG_UNBEGUN_ACCEPTS)
#define forgets true
#else
#define forgets false
#endif
#ifdef BUG_UNBEGUN_REPORTS
#define mayReport(e, s) has(members[e], s)
#else
#define mayReport(e, s) (has(begun[e], s) && has(members[e], s))
#endif
#ifdef BUG_STAGED_REPORTED
#define reportOf(e, s) has((stored[e] & ~flying[e]) | staged[e], s)
#else
#define reportOf(e, s) has(stored[e] & ~flying[e], s)
#endif
#ifdef BUG_FIRST_ADOPTED
#define goesBefore(one, other) (other == 0 || one < other)
#else
#define goesBefore(one, other) (one > other)
#endif
#ifdef BUG_COLLECTS_TOO_FEW
#define reportsNeeded(e, mask) 1
#else
#define reportsNeeded(e, mask) reports(e, mask)
#endif
#ifdef BUG_ADOPTS_NOTHING
#define adopts false
#else
#define adopts true
#endif
#ifdef BUG_ADOPTER_CHANGES_MEMBERS
#define adoptedAs(own, of) value(own, closingOf(of))
#else
#define adoptedAs(own, of) (of)
#endif
#if defined(BUG_NO_STAGING)
#define holdersNeeded(e, mask) 0
#elif defined(BUG_ONE_HOLDER)
#define holdersNeeded(e, mask) 1
#else
#define holdersNeeded(e, mask) quorum(e, mask)
#endif
#ifdef BUG_UNBEGUN_ACCEPTS
#define mayAccept(e, s) true
#else
#define mayAccept(e, s) has(begun[e], s)
#endif
#ifdef BUG_ACCEPT_IGNORES_PROMISE
#define allows(e, s, k) true
#else
#define allows(e, s, k) (k >= promised[e * N + s])
#endif
#if defined(BUG_VOTES_ACROSS_STAKES)
#define votesFor(e, k) (votes[at(e, 1)] | votes[at(e, 2)])
#elif defined(BUG_VOTES_OF_EQUAL_DECISIONS)
#define votesFor(e, k) (proposal[at(e, 1)] == proposal[at(e, 2)] -> (votes[at(e, 1)] | votes[at(e, 2)]) : votes[at(e, k)])
#else
#define votesFor(e, k) votes[at(e, k)]
#endif
#ifdef BUG_ONE_VOTE
#define votesNeeded(mask) 1
#else
#define votesNeeded(mask) most(mask)
#endif

/* Whom coordinator k of an epoch wants next. Fault-recovery takes two, fault-masking three. */
inline target() {
  if
  :: masking(e + 1) && k == 1 -> v = bit(1) | bit(2) | bit(3)
  :: masking(e + 1) && k == 2 -> v = bit(0) | bit(2) | bit(3)
  :: masking(e + 1) && k > 2 -> v = bit(0) | bit(1) | bit(3)
  :: !masking(e + 1) && k == 1 -> v = bit(2) | bit(3)
  :: !masking(e + 1) && k > 1 -> v = bit(0) | bit(3)
  fi
}

/* I4, I6, T6: one decision, with everything that was durable, whose bodies one crash cannot take away. */
inline choose(value_) {
  assert(chosen[e] == 0 || chosen[e] == value_);
  chosen[e] = value_;
  assert(!durable[e] || closingOf(value_));
  assert(!closingOf(value_) || count((stored[e] | staged[e] | begun[e + 1]) & membersOf(value_)) >= quorum(e + 1, membersOf(value_)));
}

inline noteDurable() {
  if
  :: count(stored[e] & ~flying[e] & members[e]) >= completes(e, members[e]) ->
     durable[e] = 1; assert(chosen[e] == 0 || closingOf(chosen[e]))
  :: else
  fi
}

/* An Add reaches a server that serves the epoch. It is acknowledged once it is on disk. */
inline store() {
  if
  :: has(begun[e], s) && !has(stored[e], s) && !has(begun[e + 1], s) && takesStores(e, s) ->
     stored[e] = stored[e] | bit(s);
     flying[e] = flying[e] | inFlight(s);
     noteDurable()
  :: else
  fi
}

#ifdef BUG_REPORT_WITHOUT_FLYING
#define PLANTED
inline planted() {
  if
  :: has(flying[e], s) -> flying[e] = flying[e] & ~bit(s); noteDurable()
  :: else
  fi
}
#endif

/* The wedge of coordinator k: promise, freeze, report; the report may be lost. */
inline wedge() {
  if
  :: mayReport(e, s) && members[e] != 0 && !has(begun[e + 1], s) && (!masking(e) || k >= promised[e * N + s]) ->
     wedged[e] = wedged[e] | bit(s);
     promised[e * N + s] = k;
     n = reportOf(e, s);
     /* I7: a wedged member reports one set, for ever. */
     assert(!has(reported[e], s) || has(reportedWith[e], s) == n);
     reported[e] = reported[e] | bit(s);
     reportedWith[e] = reportedWith[e] | (n << s);
     if
     :: proposed[at(e, k)] == 0 && proposal[at(e, k)] == 0 ->
        heard[at(e, k)] = heard[at(e, k)] | bit(s);
        unionOf[at(e, k)] = unionOf[at(e, k)] | n;
        if
        :: accepted[e * N + s] > 0 && goesBefore(accepted[e * N + s], adopted[at(e, k)]) ->
           adopted[at(e, k)] = accepted[e * N + s]
        :: else
        fi
     :: true
     fi
  :: else
  fi;
  n = 0
}

/* Enough reports: adopt the proposal of the highest stake whole, or the union. */
inline collect() {
  if
  :: proposal[at(e, k)] == 0 && members[e] != 0 && count(heard[at(e, k)]) >= reportsNeeded(e, members[e]) ->
     target();
     if
     :: masking(e) && adopted[at(e, k)] > 0 && adopts ->
        proposal[at(e, k)] = adoptedAs(v, proposal[at(e, adopted[at(e, k)])]);
        proposed[at(e, k)] = 1
     :: else ->
        proposal[at(e, k)] = value(v, unionOf[at(e, k)])
     fi;
     heard[at(e, k)] = 0; unionOf[at(e, k)] = 0; adopted[at(e, k)] = 0
  :: else
  fi;
  v = 0
}

/* A next member fetches the body from somebody who stored it, and keeps it apart. */
inline stage() {
  v = proposal[at(e, k)];
  if
  :: v != 0 && proposed[at(e, k)] == 0 && closingOf(v) && has(membersOf(v), s) && !has(stored[e] | staged[e], s) && stored[e] != 0 ->
     staged[e] = staged[e] | bit(s)
  :: else
  fi;
  v = 0
}

#ifdef BUG_STAGED_DROPPED
#define PLANTED
inline planted() { if :: chosen[e] == 0 -> staged[e] = staged[e] & ~bit(s) :: else fi }
#endif

#ifdef BUG_STAGED_SERVED
#define PLANTED
inline planted() {
  if
  :: has(staged[e], s) && !has(begun[e + 1], s) -> durable[e] = 1; assert(chosen[e] == 0 || closingOf(chosen[e]))
  :: else
  fi
}
#endif

/* Propose, once the next quorum holds every body. With an engine, that decides; the first value is the value. */
inline propose() {
  v = proposal[at(e, k)];
  if
  :: v != 0 && (proposed[at(e, k)] == 0 || !masking(e)) && (!closingOf(v) ||
     count((stored[e] | staged[e]) & membersOf(v)) >= holdersNeeded(e + 1, membersOf(v))) ->
     proposed[at(e, k)] = 1;
     if
     :: !masking(e) && chosen[e] == 0 -> choose(v)
     :: else
     fi
  :: else
  fi;
  v = 0
}

inline accept() {
  v = proposal[at(e, k)];
  if
  :: masking(e) && v != 0 && proposed[at(e, k)] == 1 && has(members[e], s) && !has(begun[e + 1], s) && mayAccept(e, s) && allows(e, s, k) ->
     promised[e * N + s] = k;
     accepted[e * N + s] = k;
     wedged[e] = wedged[e] | bit(s);
     if
     :: !has(reported[e], s) -> reported[e] = reported[e] | bit(s); reportedWith[e] = reportedWith[e] | (has(stored[e] & ~flying[e], s) << s)
     :: else
     fi;
     votes[at(e, k)] = votes[at(e, k)] | bit(s);
     if
     :: count(votes[at(e, k)] & members[e]) >= most(members[e]) -> choose(v)
     :: else
     fi
  :: else
  fi;
  v = 0
}

/* A next member begins the epoch with exactly the closing set: I5, nobody opens what was not decided. */
inline start() {
  v = proposal[at(e, k)];
  n = votesFor(e, k);
  if
  :: v != 0 && has(membersOf(v), s) && !has(begun[e + 1], s) && (!masking(e) -> chosen[e] == v :
(votes[at(e, k)] != 0 && count(n & members[e]) >= votesNeeded(members[e]))) && (!closingOf(v) || has(stored[e] | staged[e], s)) ->
     assert(chosen[e] == v);
     members[e + 1] = membersOf(v);
     begun[e + 1] = begun[e + 1] | bit(s);
     if
     :: forgets && e + 1 < CHANGES ->
        promised[(e + 1) * N + s] = 0; accepted[(e + 1) * N + s] = 0;
        wedged[e + 1] = wedged[e + 1] & ~bit(s);
        reported[e + 1] = reported[e + 1] & ~bit(s); reportedWith[e + 1] = reportedWith[e + 1] & ~bit(s)
     :: else
     fi
  :: else
  fi;
  v = 0; n = 0
}

/* A server is killed and comes back with its disk. */
#ifdef BUG_VOLATILE_WEDGE
#define PLANTED
inline planted() { if :: accepted[e * N + s] == 0 -> wedged[e] = wedged[e] & ~bit(s) :: else fi }
#endif
#ifdef BUG_VOLATILE_PROMISE
#define PLANTED
inline planted() { promised[e * N + s] = accepted[e * N + s] }
#endif
#ifdef BUG_VOLATILE_ACCEPT
#define PLANTED
inline planted() { accepted[e * N + s] = 0 }
#endif

#ifndef PLANTED
inline planted() { skip }
#endif

active proctype world() {
  d_step {
    members[0] = (masking(0) -> bit(0) | bit(1) | bit(2) : bit(0) | bit(1));
    begun[0] = members[0]
  }
  do
  :: atomic {
       select(e : 0 .. (CHANGES - 1)); select(s : 0 .. 3); select(k : 1 .. KMAX);
       if
       :: k > (e == 0 -> K : K2) -> skip
       :: k == 1 -> store()
       :: wedge()
       :: s == 0 -> collect()
       :: stage()
       :: s == 0 -> propose()
       :: accept()
       :: start()
       :: k == 1 -> planted()
       fi;
       e = 0; s = 0; k = 0
     }
  od
}
