/** Checks of what was read from a group's log: any client may have written it. */

const publisherPattern = /^[0-9a-f]{16}$/
/** No wish names more messages at once. */
const runLengthMax = 100_000
const countMax = 2 ** 52

export function isText(value: unknown): value is string {
  return typeof value === 'string' && value.length > 0 && value.length <= 200
}

export function isNatural(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

/** A number that is counted on from, with room for it. */
export function isCount(value: unknown): value is number {
  return isNatural(value) && value <= countMax
}

export function isRuns(value: unknown): boolean {
  return isListOf(value, (one) => {
    const { epoch, publisher, first, last } = (one ?? {}) as Record<string, unknown>
    if (!isNatural(epoch) || !isPublisher(publisher) || !isNatural(first) || !isNatural(last)) return false
    return first >= 1 && last >= first && last - first < runLengthMax
  })
}

export function isEnds(value: unknown): boolean {
  return isListOf(value, (one) => isTuple(one, 2) && isPublisher(one[0]) && isCount(one[1]))
}

export function isSettings(value: unknown): boolean {
  const { deliveriesMax, deadLetter } = (value ?? {}) as Record<string, unknown>
  return isNatural(deliveriesMax) && typeof deadLetter === 'string' && deadLetter.length <= 200
}

export function isStart(value: unknown): boolean {
  const { epoch, seen } = (value ?? {}) as Record<string, unknown>
  return isCount(epoch) && isEnds(seen)
}

export function isSnapshot(value: unknown): boolean {
  const snapshot = (value ?? {}) as Record<string, unknown>
  return (
    isNatural(snapshot.timeMs) &&
    (snapshot.founded === null || isStart(snapshot.founded)) &&
    isSettings(snapshot.settings) &&
    isListOf(snapshot.members, (one) => isTuple(one, 5) && isText(one[0]) && one.slice(1).every(isNatural)) &&
    isListOf(snapshot.gone, isText) &&
    isListOf(snapshot.epochs, isEpoch) &&
    isListOf(snapshot.items, isItem)
  )
}

function isEpoch(value: unknown): boolean {
  if (!isTuple(value, 3) || !isNatural(value[0]) || typeof value[1] !== 'boolean') return false
  return isListOf(value[2], (one) => isTuple(one, 3) && isPublisher(one[0]) && one.slice(1).every(isNatural))
}

function isItem(value: unknown): boolean {
  if (!isTuple(value, 8)) return false
  const [epoch, publisher, sequence, deliveries, holder, dueMs, ...flags] = value
  const areNumbers = [epoch, sequence, deliveries, dueMs].every(isNatural)
  return areNumbers && isPublisher(publisher) && typeof holder === 'string' && flags.every((flag) => flag === !!flag)
}

function isPublisher(value: unknown): value is string {
  return typeof value === 'string' && publisherPattern.test(value)
}

function isTuple(value: unknown, length: number): value is unknown[] {
  return Array.isArray(value) && value.length === length
}

function isListOf(value: unknown, isOne: (one: unknown) => boolean): boolean {
  return Array.isArray(value) && value.every(isOne)
}
