/** The options of what operators ask for, and of every call that does nothing but wait. */
import { checkSize, modes, orders } from '../../proto/configuration.ts'
import { type Check, decider, duration, method, servers, signal, text, whole, word } from '../../proto/door/checks.ts'
import { type Checks, optionsOf } from '../../proto/door/options.ts'
import type { ReconfigureOptions, TopicOptions } from '../reconfigure.ts'
import type { WaitOptions } from '../waiting.ts'

export const waiting: Checks<WaitOptions> = { timeoutMs: duration, signal }

const changeId = text(64)
const expectEpoch: Check<number | 'any'> = (value, what) => (value === 'any' ? value : whole(1)(value, what))

const template: Checks<TopicOptions> = {
  mode: word(modes),
  decider,
  size: whole(1, 1_000),
  members: servers,
  membersMin: whole(0, 1_000),
  order: word(orders),
}

export const waitOptions = (call: string): ((given: unknown) => WaitOptions) => optionsOf(call, waiting)

export const createTopicOptions = described(
  optionsOf<TopicOptions & WaitOptions>('createTopic', { ...template, ...waiting }),
)
export const reconfigureOptions = described(
  optionsOf<ReconfigureOptions & WaitOptions>('reconfigure', {
    ...template,
    ...waiting,
    expectEpoch,
    changeId,
    onProgress: method,
  }),
)

export const inspectionOptions = optionsOf<WaitOptions & { readonly onPage?: (messages: number) => void }>(
  'inspection',
  { ...waiting, onPage: method },
)

/** Members that are named are as many as they are: another size would be ignored. */
function described<T extends TopicOptions>(read: (given: unknown) => T): (given: unknown) => T {
  return (given) => {
    const options = read(given)
    checkSize(options)
    return options
  }
}
