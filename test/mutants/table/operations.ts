/** Planted bugs of Add, Get, subscribe, and of what clients are told. */
import type { Mutant } from '../mutant.ts'

export const operationMutants: readonly Mutant[] = [
  {
    id: '1',
    title: 'an Add is acknowledged before it is on disk',
    edits: [
      {
        file: 'proto/machine/loop.ts',
        find: 'if (this.#flushing !== null || store?.dirty === true) this.#waiting.push(effect)',
        replace: `const isAck = effect.kind === 'send' && effect.message.kind === 'stored'
    if (!isAck && (this.#flushing !== null || store?.dirty === true)) this.#waiting.push(effect)`,
      },
    ],
    caughtBy: ['I8', 'I1'],
  },
  {
    id: '2',
    title: 'fault-masking: one less than a majority completes an operation',
    edits: [
      {
        file: 'proto/configuration.ts',
        find: "return configuration.mode === 'fault-masking' ? majority(size) : size\n",
        replace: "return configuration.mode === 'fault-masking' ? majority(size) - 1 : size\n",
      },
    ],
    caughtBy: ['I1', 'I3', 'trace'],
  },
  {
    id: '6',
    title: 'acknowledgements are counted per message, not per member',
    edits: [
      {
        file: 'client-sdk/operations/epoch-window.ts',
        find: 'if (view === undefined || message.end <= view.acked) return []',
        replace: `if (view === undefined) return []
    const other = this.#members.find((one) => one !== view && one.acked < message.end)
    if (message.end <= view.acked && other !== undefined) other.acked = message.end`,
      },
    ],
    caughtBy: ['I1', 'I3', 'trace'],
  },
  {
    id: '7',
    title: 'fault-masking: a Get does not store back what a majority does not hold yet',
    edits: [
      {
        file: 'client-sdk/operations/get.ts',
        find: 'else this.#storeBack(all, configuration, out)',
        replace: 'else this.#deliver(all, configuration, out)',
      },
    ],
    caughtBy: ['I1', 'I2', 'trace'],
  },
  {
    id: '8',
    title: 'fault-masking: a Get returns the intersection of its answers',
    edits: [
      {
        file: 'client-sdk/operations/get.ts',
        find: 'const all = union(stored)',
        replace: 'const all = intersection(stored)',
      },
    ],
    caughtBy: ['I1', 'trace'],
  },
  {
    id: '20',
    title: 'a retry in the next epoch is reported under the id of the first attempt',
    edits: [
      {
        file: 'client-sdk/operations/outgoing.ts',
        find: '    this.epoch = epoch\n',
        replace: '    this.epoch ??= epoch\n',
      },
    ],
    caughtBy: ['I3', 'I1'],
  },
  {
    id: '21',
    title: 'acknowledgements of another epoch are counted',
    edits: [
      {
        file: 'client-sdk/operations/epoch-window.ts',
        find: 'if (this.configuration.epoch !== epoch) return undefined',
        replace: 'if (epoch < 0) return undefined',
      },
    ],
    caughtBy: ['I1', 'I3', 'trace'],
    stories: ['answers-of-an-old-epoch'],
  },
  {
    id: '24',
    title: 'a message at the edge of the closing set is reported as dropped',
    edits: [
      {
        file: 'client-sdk/operations/add.ts',
        find: 'const isIncluded = outgoing.last <= end',
        replace: 'const isIncluded = outgoing.last < end',
      },
    ],
    caughtBy: ['I3', 'I11', 'trace'],
  },
  {
    id: '36',
    title: 'a server takes a batch that comes early and leaves a gap before it',
    edits: [
      {
        file: 'broker/replica/intake.ts',
        find: "    if (batch.first > end + 1) return 'early'\n    if (batch.first !== end + 1 || !isSound(batch)) return 'bad-batch'",
        replace: "    if (!isSound(batch)) return 'bad-batch'",
      },
    ],
    caughtBy: ['I1', 'I2', 'I3', 'I8', 'T6', 'trace'],
  },
  {
    id: '39',
    title: 'a subscriber is given what one member holds',
    edits: [
      {
        file: 'client-sdk/operations/reports.ts',
        find: 'const quorum = operationQuorum(this.#configuration)',
        replace: 'const quorum = Math.min(1, operationQuorum(this.#configuration))',
      },
    ],
    caughtBy: ['I1', 'I3'],
    stories: ['push-is-a-get'],
  },
  {
    id: '40',
    title: 'fault-recovery: a Get returns what one server answers',
    edits: [
      {
        file: 'client-sdk/operations/get.ts',
        find: 'if (answers.length < quorum) return',
        replace: "if (answers.length < (configuration.mode === 'fault-masking' ? quorum : 1)) return",
      },
    ],
    caughtBy: ['I1', 'trace'],
    stories: ['no-local-shortcut'],
  },
  {
    id: '48',
    title: 'fault-recovery: an Add is complete before its last member has it on disk',
    edits: [
      {
        file: 'proto/configuration.ts',
        find: "return configuration.mode === 'fault-masking' ? majority(size) : size\n",
        replace: "return configuration.mode === 'fault-masking' ? majority(size) : Math.max(1, size - 1)\n",
      },
    ],
    caughtBy: ['I1', 'I3', 'trace'],
  },
  {
    id: '55',
    title: 'a client forgets its pending messages when the epoch ends',
    edits: [
      {
        file: 'client-sdk/operations/add.ts',
        find: 'else again.push(...this.#forNextEpoch(outgoing))',
        replace: 'else this.#pendingBytes -= outgoing.body.length',
      },
    ],
    caughtBy: ['hang', 'L1'],
  },
  {
    id: 'A2',
    title: 'a subscriber is given what a server pushed beyond the closing set',
    edits: [
      {
        file: 'client-sdk/operations/fetch.ts',
        find: 'if ((this.#isBare ? batch.first : batch.last) > endOf(this.#until, batch.publisher)) return',
        replace: 'if (batch.last < 0) return',
      },
    ],
    caughtBy: ['I3', 'F6', 'test'],
    tests: ['test/client-sdk/operations/fetch.test.ts'],
  },
  {
    id: 'A3',
    title: 'a subscriber counts reports of an epoch that it does not read',
    edits: [
      {
        file: 'client-sdk/operations/subscribe.ts',
        find: 'if (reports === null || message.epoch !== reports.epoch || message.epoch !== this.#epoch) return',
        replace: 'if (reports === null) return',
      },
    ],
    caughtBy: ['I1', 'I3', 'trace'],
    stories: ['answers-of-an-old-epoch'],
  },
  {
    id: 'A4',
    title: 'a message may be given twice when a subscription begins again at another server',
    edits: [
      {
        file: 'client-sdk/operations/fetch.ts',
        find: 'if (batch.last <= end || batch.first > end + 1) return -1',
        replace: 'if (batch.first > end + 1) return -1',
      },
      {
        file: 'client-sdk/operations/fetch.ts',
        find: 'return end + 1 - batch.first',
        replace: 'return 0',
      },
    ],
    caughtBy: ['F4', 'I11'],
  },
  {
    id: 'A5',
    title: 'a subscriber hears of the new epoch before the rest of the closing set',
    edits: [
      {
        file: 'client-sdk/operations/subscribe.ts',
        find: 'const of = { topic: newest.topic, epoch, until: decision.closing, prefix }',
        replace: 'const of = { topic: newest.topic, epoch, until: emptySet, prefix }',
      },
    ],
    caughtBy: ['F6'],
  },
  {
    id: 'A6',
    title: 'what is called durable is counted with one member too few',
    edits: [
      {
        file: 'broker/replica/repair.ts',
        find: 'return heldBy(sets, operationQuorum(opened.configuration))',
        replace: 'return heldBy(sets, Math.max(1, operationQuorum(opened.configuration) - 1))',
      },
    ],
    caughtBy: ['I1'],
  },
  {
    id: 'A7',
    title: 'a Get of a later epoch leaves out an epoch before',
    edits: [
      {
        file: 'client-sdk/operations/get.ts',
        find: 'if (this.#at < configuration.epoch) this.#fetchEpoch(nextEpoch(this.#at), configuration, out)',
        replace: 'if (this.#at < configuration.epoch) this.#fetchEpoch(configuration.epoch, configuration, out)',
      },
    ],
    caughtBy: ['I1', 'I2'],
  },
  {
    id: 'A8',
    title: 'what every member holds is taken for the longest that one of them holds',
    edits: [
      {
        file: 'proto/message-set.ts',
        find: 'frontiers = sets.map((set) => set.get(publisher) ?? noFrontier).sort((a, b) => b.end - a.end)',
        replace: 'frontiers = sets.map((set) => set.get(publisher) ?? noFrontier).sort((a, b) => a.end - b.end)',
      },
    ],
    caughtBy: ['I1', 'trace'],
  },
  {
    id: 'U1',
    title: 'what has left the client is refused for good because one member has a full disk',
    edits: [
      {
        file: 'client-sdk/operations/add.ts',
        find: 'if (this.#window?.refused(from, message) === false) this.#follower.suspect(out)',
        replace: `if (this.#window?.refused(from, message) === false) this.#follower.suspect(out)
    const error = new EpochcastError('EC_DISK_FULL', 'a disk is full')
    if (message.refusal === 'disk-full') for (const one of this.#window?.pending() ?? []) one.rejectAll(() => error)`,
      },
    ],
    caughtBy: ['trace', 'I3'],
    stories: ['disk-full'],
  },
  {
    id: 'U2',
    title: 'bodies are staged on a disk that has no room for them',
    edits: [
      {
        file: 'broker/replica/topic-state.ts',
        find: `if (!this.#room.admits(bytes.length)) return false
    const holdings = this.#stageable(batch)`,
        replace: 'const holdings = this.#stageable(batch)',
      },
    ],
    caughtBy: ['test'],
    tests: ['test/broker/replica/pulls.test.ts'],
  },
  {
    id: 'U3',
    title: 'a publisher takes a disk to be full for ever once it heard so',
    edits: [{ file: 'client-sdk/full-servers.ts', find: 'if (passes > this.#time.now)', replace: 'if (passes > 0)' }],
    caughtBy: ['trace', 'L1'],
    stories: ['disk-full-left', 'disk-full-long-ago'],
  },
  {
    id: 'T1',
    title: 'a publisher that waits for acknowledgements sets no timer: what was lost is never sent again',
    edits: [
      {
        file: 'client-sdk/operations/member-silence.ts',
        find: 'if (this.#timer.isSet) return',
        replace: 'if (this.#members.length > 0) return',
      },
    ],
    caughtBy: ['trace', 'hang', 'L1'],
  },
  {
    id: 'T2',
    title: 'the timers of an epoch go on when a publisher has left it',
    edits: [
      {
        file: 'client-sdk/operations/epoch-window.ts',
        find: 'for (const timer of [this.#silence, this.#greeting, this.#wedged, this.#room]) timer.stop()',
        replace: '',
      },
    ],
    caughtBy: ['trace', 'test'],
    tests: ['test/client-sdk/idle.test.ts'],
  },
  {
    id: 'T3',
    title: 'a subscription sets no timer for the source of its bodies: one that falls silent is never left',
    edits: [
      {
        file: 'client-sdk/operations/body-source.ts',
        find: 'if (this.#reading !== null) this.#silence.setIfStopped(1)',
        replace: '',
      },
    ],
    caughtBy: ['trace', 'hang', 'L1'],
  },
  {
    id: 'U9',
    title: 'a page that was asked for over a connection that broke is waited for',
    edits: [
      {
        file: 'client-sdk/operations/subscribe.ts',
        find: 'this.#fetch?.peer(address, up, out)',
        replace: '',
      },
      { file: 'client-sdk/operations/fetch.ts', find: ': server === this.#asked\n', replace: ': false\n' },
    ],
    caughtBy: ['test'],
    tests: ['test/client-sdk/operations/fetch.test.ts'],
  },
]
