/** Reads a stream until something has come, however long that takes: no test waits for the clock. */
import type { EventStream, MessageStream, StreamEvent } from '../../client-sdk/index.ts'

/** Values and epoch marks, in order, until `isEnough`. */
export async function readUntil(
  stream: EventStream<string>,
  isEnough: (seen: readonly string[]) => boolean,
): Promise<string[]> {
  const seen: string[] = []
  for await (const event of stream) {
    seen.push(describeEvent(event))
    if (isEnough(seen)) break
  }
  return seen
}

export async function take(stream: MessageStream<string>, count: number): Promise<string[]> {
  const seen: string[] = []
  for await (const message of stream) {
    seen.push(message.value)
    if (seen.length === count) break
  }
  return seen
}

export function describeEvent(event: StreamEvent<string>): string {
  if (event.type === 'message') return event.message.value
  if (event.type === 'gap') return `gap ${event.from}-${event.to}`
  return event.type === 'epoch' ? `end of epoch ${event.ended} (${event.closingCount})` : event.type
}
