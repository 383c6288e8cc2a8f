/** Planted bugs of old disks, of frames that are held, of who is taken for dead, and of changes that lag behind. */
import type { Mutant } from '../mutant.ts'

export const membershipMutants: readonly Mutant[] = [
  {
    id: 'S1',
    title: 'an old disk is believed',
    edits: [
      {
        file: 'broker/membership/storage-proof.ts',
        find: 'if (position > this.#recovered) throw this.#isOld(name, position)',
        replace: 'if (position < 0) throw this.#isOld(name, position)',
      },
    ],
    caughtBy: ['I8'],
    stories: ['restored-disk'],
  },
  {
    id: 'S2',
    title: 'a server speaks while it asks whether its disk is old',
    edits: [
      {
        file: 'broker/membership/storage-proof.ts',
        find: "    return this.#phase === 'served'",
        replace: "    return this.#phase !== 'new'",
      },
    ],
    caughtBy: ['I8'],
    stories: ['restored-disk', 'restored-disk-after-outage'],
  },
  {
    id: 'S3',
    title: 'one answer proves that a disk is not old',
    edits: [
      {
        file: 'broker/membership/storage-proof.ts',
        find: 'if (new Set(this.#answered.values()).size * 2 >= this.#others.length)',
        replace: 'if (this.#answered.size > 0)',
      },
    ],
    caughtBy: ['I8'],
    stories: ['restored-disk-one-answer'],
  },
  {
    id: 'S4',
    title: 'who asks about its disk is answered with what it shows itself',
    edits: [
      {
        file: 'broker/membership/shown-positions.ts',
        find: 'return shown.incarnation === incarnation ? shown.before : shown.position',
        replace: 'return shown.incarnation === incarnation ? shown.position : shown.before',
      },
    ],
    caughtBy: ['I8', 'stop error', 'stop'],
    stories: ['restored-disk'],
  },
  {
    id: 'S5',
    title: 'what is held is a view of memory that is used again',
    edits: [
      {
        file: 'broker/server-machine.ts',
        find: 'this.#held.push({ from, frame: ownFrame(frame) })',
        replace: 'this.#held.push({ from, frame })',
      },
    ],
    caughtBy: ['test', 'I8', 'I11', 'stop error'],
    tests: ['test/broker/membership/held-frames.test.ts'],
  },
  {
    id: 'S6',
    title: 'who hears nobody takes all the others for dead',
    edits: [
      {
        file: 'broker/membership/policy.ts',
        find: '    if (this.#host.isCutOff()) {',
        replace: '    if (serving.members.length === 0) {',
      },
    ],
    caughtBy: ['test'],
    tests: ['test/broker/membership/policy.test.ts'],
  },
  {
    id: 'S7',
    title: 'what is decided by an outside engine is what was proposed, not what its register holds',
    edits: [
      {
        file: 'broker/engines/outside.ts',
        find: 'const decision = this.#decode(value)',
        replace: 'const decision = this.#decode(this.#value ?? value)',
      },
    ],
    caughtBy: ['I4', 'I5', 'stop I4'],
    stories: ['engine-outside'],
  },
  {
    id: 'S8',
    title: 'what was proposed to an outside engine counts as decided before it answers',
    edits: [
      {
        file: 'broker/engines/outside.ts',
        find: "    this.#value ??= messageBytes({ kind: 'decided', topic, epoch, decision })\n    this.ask(out)",
        replace:
          "    this.#value = messageBytes({ kind: 'decided', topic, epoch, decision })\n    this.#stop()\n    this.#listener.decided(decision, out)",
      },
    ],
    caughtBy: ['I4', 'I5', 'stop I4'],
    stories: ['engine-outside'],
  },
  {
    id: 'S9',
    title: 'answers to an earlier process of a client are taken for answers to the next',
    edits: [
      {
        file: 'client-sdk/machine.ts',
        find: 'new Requests(options.random.below(0x10_0000) * 840,',
        replace: 'new Requests(options.random.below(1),',
      },
    ],
    caughtBy: ['test', 'I1', 'I3', 'I11', 'RYA', 'MONO'],
    tests: ['test/client-sdk/requests.test.ts'],
  },
  {
    id: 'S10',
    title: 'a coordinator forgets who told it that the epoch is over',
    edits: [
      {
        file: 'broker/epoch/changes.ts',
        find: '      asker.newest = newer(newest, asker.newest)\n',
        replace: '',
      },
    ],
    caughtBy: ['L2', 'trace'],
    stories: ['coordinator-without-the-topic'],
  },
  {
    id: 'K1',
    title: 'a copy of a data directory is taken for the original',
    edits: [
      {
        file: 'broker/log/place.ts',
        find: '  return isSame(home.directory, found.directory) && isSame(home.note, found.note)',
        replace: '  return isSame(home.directory, home.directory as FoundMark) || isSame(home.note, found.note)',
      },
    ],
    caughtBy: ['test'],
    tests: ['test/broker/log/directory-files.test.ts'],
  },
  {
    id: 'K2',
    title: 'a copy is adopted while the original is still there',
    edits: [
      {
        file: 'broker/log/directory.ts',
        find: '    return found?.storage === storage\n',
        replace: '    return found?.storage === storage && path === storage\n',
      },
    ],
    caughtBy: ['test'],
    tests: ['test/broker/log/directory-files.test.ts'],
  },
  {
    id: 'K3',
    title: 'of two processes under one id none is told to stop',
    edits: [
      {
        file: 'broker/membership/incarnations.ts',
        find: "    send(out, member.address, { kind: 'shown', incarnation, position: 0, twin: present.member })\n",
        replace:
          "    if (incarnation < 0) send(out, member.address, { kind: 'shown', incarnation, position: 0, twin: present.member })\n",
      },
    ],
    caughtBy: ['test'],
    tests: ['test/broker/membership/incarnations.test.ts'],
  },
  {
    id: 'K4',
    title: 'a frame that comes late from a process that is gone counts as an answer',
    edits: [
      {
        file: 'broker/membership/incarnations.ts',
        find: 'answered: new Set(), patience }',
        replace: 'answered: new Set([rival.incarnation]), patience }',
      },
    ],
    caughtBy: ['test'],
    tests: ['test/broker/membership/incarnations.test.ts'],
  },
  {
    id: 'K5',
    title: 'a server goes on although its files were exchanged while it ran',
    edits: [
      {
        file: 'broker/log/watch.ts',
        find: '    if (before !== found.ino && !this.#isDrifting) return',
        replace: '    if (before !== found.ino && this.#isDrifting) return',
      },
    ],
    caughtBy: ['test'],
    tests: ['test/broker/log/directory-files.test.ts'],
  },
  {
    id: 'K6',
    title: 'a server that a cluster takes in does not ask whether its disk is older than that',
    edits: [
      {
        file: 'broker/server-machine.ts',
        find: '      this.#proof.joined(this.#witnesses, out)\n',
        replace: '      this.#proof.joined([], out)\n',
      },
      {
        file: 'broker/membership/shown-positions.ts',
        find: '    if (before > position) send(out, from, ',
        replace: '    if (before < 0) send(out, from, ',
      },
    ],
    caughtBy: ['test'],
    tests: ['test/broker/membership/incarnations.test.ts'],
  },
  {
    id: 'S11',
    title: 'the replacement of dead members leaves fewer than the mode takes',
    edits: [
      {
        file: 'broker/membership/policy.ts',
        find: 'return isChanged && maySucceed(serving, members) ? members : null',
        replace: 'return isChanged && maySucceed(serving, serving.members) ? members : null',
      },
    ],
    caughtBy: ['MEMBERS', 'test'],
    tests: ['test/broker/membership/policy.test.ts'],
  },
  {
    id: 'S12',
    title: 'substitutes for members that died while staging are fewer than the mode takes',
    edits: [
      {
        file: 'broker/epoch/target.ts',
        find: '|| !maySucceed(next, members)) return null',
        replace: '|| members.length < next.membersMin) return null',
      },
      {
        file: 'broker/epoch/target.ts',
        find: "if (next.mode === 'fault-masking') fill(members, next.members, size)",
        replace: "if (next.mode === 'single') fill(members, next.members, size)",
      },
    ],
    caughtBy: ['MEMBERS', 'test'],
    tests: ['test/broker/epoch/target.test.ts'],
  },
  {
    id: 'S13',
    title: 'rivals never give way for longer than at first',
    edits: [
      {
        file: 'broker/epoch/rivalry.ts',
        find: 'const pauseDoublings = 5',
        replace: 'const pauseDoublings = 0',
      },
      {
        file: 'broker/epoch/rivalry.ts',
        find: 'const patienceDoublings = 3',
        replace: 'const patienceDoublings = 0',
      },
    ],
    caughtBy: ['test', 'L3'],
    tests: ['test/broker/epoch/rivalry.test.ts'],
  },
  {
    id: 'S14',
    title: 'a server counts as dead some time after it was heard of first, however often it speaks',
    edits: [
      {
        file: 'broker/membership/directory.ts',
        find: '    known.silence.set(suspectTicks)\n',
        replace: '    known.silence.setIfStopped(suspectTicks)\n',
      },
    ],
    caughtBy: ['test'],
    tests: ['test/broker/membership/directory.test.ts'],
  },
  {
    id: 'S15',
    title: 'nobody is told that a server came to count as dead by its silence',
    edits: [
      {
        file: 'broker/membership/directory.ts',
        find: 'const tell = (out: Effect[]) => this.#ports.tellAliveChanged(member.name, false, out)',
        replace: 'const tell = () => {}',
      },
    ],
    caughtBy: ['test'],
    tests: ['test/broker/membership/directory.test.ts'],
  },
]
