import { EpochcastError } from '../errors.ts'
import type { Address } from '../ids.ts'
import { framePrefix } from './framing.ts'
import { isTcpAddress } from './tcp-address.ts'

/** Largest hello in bytes: nothing larger is taken from a connection before it is complete. */
export const helloBytesMax = 512
const magic = Buffer.from('epoc', 'latin1')
const version = 1
const headBytes = magic.length + 1

/** The hello as it goes over the wire, length included: magic, version (one byte), address (all that follows). */
export function encodeHello(own: Address): Uint8Array {
  const body = Buffer.concat([magic, Buffer.of(version), Buffer.from(own, 'latin1')])
  return Buffer.concat([framePrefix(body.length), body])
}

/** @throws EpochcastError `EC_BAD_MESSAGE` when the frame is no hello of this version */
export function decodeHello(frame: Uint8Array): Address {
  const bytes = Buffer.from(frame.buffer, frame.byteOffset, frame.length)
  if (!bytes.subarray(0, magic.length).equals(magic)) throw bad('the first frame of a connection is no hello')
  const theirs = bytes[magic.length]
  if (theirs !== version) throw bad(`the other side speaks version ${theirs}, this side ${version}`)
  // Not 'latin1' or 'ascii': a byte above 0x7e must not turn into a printable character.
  const own = bytes.subarray(headBytes).toString('utf8')
  if (!isTcpAddress(own)) throw bad('the address in a hello is malformed')
  return own
}

function bad(message: string): EpochcastError {
  return new EpochcastError('EC_BAD_MESSAGE', message)
}
