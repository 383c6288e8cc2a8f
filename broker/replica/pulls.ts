/** Answers to pulls: how bodies travel to next members, to members that fell behind, and to clients. */
import type { Address } from '../../proto/ids.ts'
import { type Effect, send } from '../../proto/machine/contract.ts'
import type { MessageOf } from '../../proto/wire/messages.ts'
import type { TopicState } from './topic-state.ts'

/** About what a batch takes in a frame without its body. */
const bareBytes = 100
/** Batches in one answer: small ones cost as much as large ones, and everybody else waits for the turn to end. */
const batchesMax = 512

/**
 * Sends the batches that a pull asks for, at least one where there is one, then `pulled`. Reads what this server stored or,
 * of closed epochs, exactly the closing set: never what is only staged.
 */
export function answerPull(
  state: TopicState,
  to: Address,
  token: number,
  pull: MessageOf<'pull'>,
  bytesMax: number,
  out: Effect[],
): void {
  const { topic } = state
  const holdings = state.readable(pull.epoch)
  if (holdings === null) {
    send(out, to, { kind: 'pulled', topic, epoch: pull.epoch, more: false, unheld: true, resume: 0 }, token)
    return
  }
  const { index } = holdings
  const room = Math.min(pull.bytesMax, bytesMax)
  let sent = 0
  let batches = 0
  let slot = pull.resume
  for (; slot < index.length && sent < room && batches < batchesMax; slot++) {
    if (!holdings.shows(slot, pull.since, pull.until)) continue
    const isBare = pull.bare === true
    out.push({ kind: 'send-record', to, token, placement: index, slot, ...(isBare && { bare: true }) })
    sent += isBare ? bareBytes : index.sizeOf(slot) + 1
    batches++
  }
  const more = slot < index.length
  send(out, to, { kind: 'pulled', topic, epoch: pull.epoch, more, unheld: false, resume: slot }, token)
}
