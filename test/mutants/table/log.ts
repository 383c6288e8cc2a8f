/** Planted bugs of the log and of its recovery. */
import type { Mutant } from '../mutant.ts'

export const logMutants: readonly Mutant[] = [
  {
    id: '43',
    title: 'the error of a flush is swallowed',
    edits: [
      {
        file: 'broker/log/segments.ts',
        find: '      await file.datasync()\n',
        replace: '      await file.datasync().catch(() => {})\n',
      },
    ],
    caughtBy: ['I8'],
    stories: ['log'],
  },
  {
    id: '44',
    title: 'the checksum of a record is not looked at',
    edits: [
      {
        file: 'broker/log/record.ts',
        find: 'return crc32(buffer.subarray(at + 4, bodyAt + length), seed) === buffer.readUInt32LE(at) ? length : -1',
        replace: 'return buffer.readUInt32LE(at) !== 0 || seed < 0 ? length : -1',
      },
    ],
    caughtBy: ['I11', 'I8'],
    stories: ['log'],
  },
  {
    id: '45',
    title: 'the directory is not flushed when a segment is made',
    edits: [
      {
        file: 'broker/log/segments.ts',
        find: '      await this.#files.rename(name, segmentName(first))\n      await this.#files.flushDirectory()',
        replace: '      await this.#files.rename(name, segmentName(first))',
      },
    ],
    caughtBy: ['I8'],
    stories: ['log'],
  },
  {
    id: '46',
    title: 'a flush that failed is tried once more',
    edits: [
      {
        file: 'broker/log/segments.ts',
        find: '      await file.datasync()\n',
        replace: '      await file.datasync().catch(() => file.datasync())\n',
      },
    ],
    caughtBy: ['I8'],
    stories: ['log'],
  },
  {
    id: '47',
    title: 'recovery cuts a torn tail one record too early',
    edits: [
      {
        file: 'broker/log/scan.ts',
        find: '    const length = checkRecord(buffer, at, first + at, seed)\n    if (length < 0) return { at, continues: false }',
        replace: `    const length = checkRecord(buffer, at, first + at, seed)
    const after = at + recordBytes(Math.max(0, length))
    const isLast = after + headerBytes <= buffer.length && checkRecord(buffer, after, first + after, seed) < 0
    if (length < 0 || (isLast && codeAt(buffer, at) !== codes.mark)) return { at, continues: false }`,
      },
    ],
    caughtBy: ['I8'],
    stories: ['log'],
  },
  {
    id: 'E1',
    title: 'after a failed flush the log goes on',
    edits: [
      {
        file: 'broker/log/segment-log.ts',
        find: "      throw this.#fail('write', error)\n    }\n    if (this.#failure !== null) throw this.#failure",
        replace:
          "      this.#running = null\n      throw diskFailed('write', error)\n    }\n    if (this.#failure !== null) throw this.#failure",
      },
    ],
    caughtBy: ['I8'],
    stories: ['log'],
  },
  {
    id: 'E2',
    title: 'recovery trusts what the page cache shows and does not write its tail again',
    edits: [
      {
        file: 'broker/log/recovery.ts',
        find: '    await file.writev([buffer.subarray(from)], from)\n    await file.datasync()',
        replace: '    if (end < 0) await file.writev([buffer.subarray(from)], from)',
      },
    ],
    caughtBy: ['I8'],
    stories: ['log'],
  },
  {
    id: 'E3',
    title: 'segments behind a torn tail stay',
    edits: [
      {
        file: 'broker/log/recovery.ts',
        find: '    await files.remove(segmentName(segment.first))\n    await files.flushDirectory()',
        replace: '    await files.flushDirectory()',
      },
    ],
    caughtBy: ['test', 'I8', 'I11'],
    stories: ['log'],
    tests: ['test/broker/log/recovery.test.ts', 'test/broker/log/segment-log.test.ts'],
  },
  {
    id: 'E4',
    title: 'damage below what was flushed is cut like a torn tail',
    edits: [
      {
        file: 'broker/log/recovery.ts',
        find: '    await refuseDamage(found.slice(index), reader, seed, end)\n',
        replace: '    if (index < 0) await refuseDamage(found.slice(index), reader, seed, end)\n',
      },
    ],
    caughtBy: ['test', 'I8'],
    stories: ['log'],
    tests: ['test/broker/log/recovery.test.ts', 'test/broker/log/segment-log.test.ts'],
  },
  {
    id: 'E5',
    title: 'a commit is called flushed when it is written',
    edits: [
      {
        file: 'broker/log/segments.ts',
        find: '      await file.datasync()\n',
        replace: '',
      },
    ],
    caughtBy: ['I8'],
    stories: ['log'],
  },
  {
    id: 'E6',
    title: 'a record read at the wrong place is taken for the right one',
    edits: [
      {
        file: 'broker/log/record.ts',
        find: '  if (readPosition(buffer, at + 8) !== position) return -1\n',
        replace: '',
      },
    ],
    caughtBy: ['test', 'I11', 'I8'],
    stories: ['log'],
    tests: ['test/broker/log/recovery.test.ts', 'test/broker/log/segment-log.test.ts'],
  },
  {
    id: 'E7',
    title: 'a storage whose machine stopped before all was on disk is taken for whole',
    edits: [
      {
        file: 'broker/log/unflushed.ts',
        find: '  return boot === null || note.boot !== boot\n',
        replace: '  return boot === null && note.boot !== boot\n',
      },
    ],
    caughtBy: ['test', 'I8', 'I1'],
    tests: ['test/broker/log/sync.test.ts'],
  },
  {
    id: 'E8',
    title: 'a mark says that what is only written is flushed',
    edits: [
      {
        file: 'broker/log/segment-log.ts',
        find: 'this.#runs.length === 0 && this.#isStrict ? this.#tail : this.#flushing.flushedTo',
        replace: 'this.#runs.length === 0 ? this.#tail : this.#flushing.flushedTo',
      },
    ],
    caughtBy: ['test'],
    tests: ['test/broker/log/sync.test.ts'],
  },
  {
    id: 'E9',
    title: 'what the protocol promises is only written, like a batch',
    edits: [
      {
        file: 'broker/log/segment-log.ts',
        find: "    if (kind !== 'batch') this.#mustFlush = true\n",
        replace: '',
      },
    ],
    caughtBy: ['test'],
    tests: ['test/broker/log/sync.test.ts'],
  },
  {
    id: 'E10',
    title: 'a log that ends before what it had reached is taken for whole',
    edits: [
      {
        file: 'broker/log/recovery.ts',
        find: '  if (end < reached) throw',
        replace: '  if (reached < 0) throw',
      },
    ],
    caughtBy: ['test', 'stop', 'I8', 'I1'],
    tests: ['test/broker/log/directory-files.test.ts'],
  },
  {
    id: 'E11',
    title: 'a log without the note of how far it reached is taken for whole',
    edits: [
      {
        file: 'broker/log/segment-log.ts',
        find: '      if (isBegun)\n',
        replace: '      if (isBegun && seed < 0)\n',
      },
      {
        file: 'broker/log/directory.ts',
        find: '  if ((await readReached(files, seed)) !== null) return\n',
        replace: '  if ((await readReached(files, seed)) !== null || seed >= 0) return\n',
      },
    ],
    caughtBy: ['test', 'I8', 'I1'],
    tests: ['test/broker/log/directory-files.test.ts'],
  },
  {
    id: 'E12',
    title: 'the note of how far a log reached is believed, damaged or of another storage',
    edits: [
      {
        file: 'broker/log/reached.ts',
        find: 'count === noteBytes && crc32(buffer.subarray(4), seed) === buffer.readUInt32LE(0)',
        replace: 'count === noteBytes || seed < 0',
      },
    ],
    caughtBy: ['test', 'stop', 'I8', 'I1'],
    tests: ['test/broker/log/directory-files.test.ts'],
  },
  {
    id: 'E13',
    title: 'the note of how far a log reached is not raised by commits',
    edits: [
      {
        file: 'broker/log/segment-log.ts',
        find: 'const raised = this.#reached?.raise(to, ',
        replace: 'const raised = this.#reached?.raise(0 * to, ',
      },
    ],
    caughtBy: ['test', 'stop', 'I8', 'I1'],
    tests: ['test/broker/log/directory-files.test.ts'],
  },
  {
    id: 'E14',
    title: 'the note of how far a log reached is ahead of the disk',
    edits: [
      {
        file: 'broker/log/segment-log.ts',
        find: '      if (isFlushed) await this.#flushing.commit(to)\n',
        replace: '      await this.#reached?.raise(to, -1)\n      if (isFlushed) await this.#flushing.commit(to)\n',
      },
    ],
    caughtBy: ['test', 'stop', 'I8'],
    stories: ['log'],
    tests: ['test/broker/log/recovery.test.ts'],
  },
  {
    id: 'E15',
    title: 'what was only written is flushed by no clock',
    edits: [
      {
        file: 'broker/log/segment-log.ts',
        find: '    if (!isFlushed) this.#flushing.later()\n',
        replace: '',
      },
    ],
    caughtBy: ['test'],
    tests: ['test/broker/log/sync.test.ts'],
  },
  {
    id: 'E16',
    title: 'nobody is told of a flush by the clock that failed',
    edits: [
      {
        file: 'broker/log/segment-log.ts',
        find: "    if (this.#phase === 'open') this.#tellFailure(this.#failure)\n",
        replace: '',
      },
    ],
    caughtBy: ['test'],
    tests: ['test/broker/log/sync.test.ts'],
  },
  {
    id: 'E17',
    title: 'a full disk is looked at once and never again',
    edits: [
      {
        file: 'broker/log/segments.ts',
        find: '        this.#cancelLook = null\n        this.#look()\n',
        replace: '        this.#look()\n',
      },
    ],
    caughtBy: ['test'],
    tests: ['test/broker/log/segment-log.test.ts'],
  },
  {
    id: 'E18',
    title: 'an error of the system leaves the door of the disk as it is',
    edits: [
      {
        file: 'broker/log/failure.ts',
        find: 'result instanceof Promise ? (result.catch(fail) as T) : result',
        replace: 'result',
      },
    ],
    caughtBy: ['test', 'stop'],
    tests: ['test/broker/log/files.test.ts'],
  },
]
