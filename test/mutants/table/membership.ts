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
]
