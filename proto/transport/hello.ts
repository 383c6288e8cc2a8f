/**
 * The first frame in each direction of a connection: who speaks, and which versions of the protocol.
 *
 *     magic "epoc" | layout 2 (u8) | oldest version (u8) | newest version (u8) | address (all that follows)
 *
 * Layout 1 has no versions: what sends it speaks the first one.
 */
import { EpochcastError } from '../errors.ts'
import type { Address } from '../ids.ts'
import { firstVersion, formatRange, otherVersion, protocolVersions, type VersionRange } from '../version.ts'
import { framePrefix } from './framing.ts'
import { isTcpAddress } from './tcp-address.ts'

/** Largest hello in bytes: nothing larger is taken from a connection before it is complete. */
export const helloBytesMax = 512
const magic = Buffer.from('epoc', 'latin1')
const [layoutWithoutVersions, layout] = [1, 2]

/** The hello as it goes over the wire, length included. */
export function encodeHello(own: Address, { min, max }: VersionRange = protocolVersions): Uint8Array {
  const body = Buffer.concat([magic, Buffer.of(layout, min, max), Buffer.from(own, 'latin1')])
  return Buffer.concat([framePrefix(body.length), body])
}

/**
 * @returns the address of the other side
 * @throws EpochcastError `EC_BAD_MESSAGE` when the frame is no hello, `EC_PROTOCOL_VERSION` when no version is common to both sides
 */
export function decodeHello(frame: Uint8Array, own: VersionRange = protocolVersions): Address {
  const bytes = Buffer.from(frame.buffer, frame.byteOffset, frame.length)
  if (!bytes.subarray(0, magic.length).equals(magic)) throw bad('the first frame of a connection is no hello')
  const theirs = bytes[magic.length]
  const isFirst = theirs === layoutWithoutVersions
  if (!isFirst && theirs !== layout) throw otherVersion(`a hello of layout ${theirs}, this side knows ${layout}`)
  const at = magic.length + 1
  const range = isFirst ? { min: firstVersion, max: firstVersion } : { min: bytes[at] ?? 0, max: bytes[at + 1] ?? 0 }
  if (Math.max(range.min, own.min) > Math.min(range.max, own.max)) {
    const [said, known] = [formatRange(range), formatRange(own)]
    throw otherVersion(`the other side speaks version ${said} of the protocol, this side ${known}`)
  }
  // Not 'latin1' or 'ascii': a byte above 0x7e must not turn into a printable character.
  const address = bytes.subarray(isFirst ? at : at + 2).toString('utf8')
  if (!isTcpAddress(address)) throw bad('the address in a hello is malformed')
  return address
}

function bad(message: string): EpochcastError {
  return new EpochcastError('EC_BAD_MESSAGE', message)
}
