import { crc32 } from 'node:zlib'
import { EpochcastError } from '../../proto/errors.ts'
import type { ServerId } from '../../proto/ids.ts'
import { emptyDirectory } from './empty-directory.ts'
import type { Files } from './files.ts'
import { type FileMark, keptOf, type Place } from './place.ts'
import { replaceFile } from './replace-file.ts'

type JsonValue = null | boolean | number | string | readonly JsonValue[] | { readonly [key: string]: JsonValue }

/** Who the storage in a data directory is, and where it is at home. Written again only when it moves. */
export interface Identity {
  readonly server: ServerId
  /** UUID of this storage: a server without it is another server. */
  readonly storage: string
  /** 32 random bits that the checksums of its log begin with. */
  readonly seed: number
  /** Null in a directory of an early version, which kept neither that nor a note of how far its log reached. */
  readonly place: Place | null
}

export const identityFileName = 'identity.json'
/** The first format had no place. */
const [formatWithoutPlace, format] = [1, 2]
const uuidPattern = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/**
 * The identity in a directory, or null when it has none.
 * @throws EpochcastError `EC_LOG_FORMAT` for one of a newer version, `EC_LOG_DAMAGED` for one that is not intact
 */
export async function readIdentity(files: Files): Promise<Identity | null> {
  if (!(await files.list()).includes(identityFileName)) return null
  const file = await files.open(identityFileName)
  const buffer = Buffer.alloc(file.bytes)
  await file.read(buffer, 0)
  await file.close()
  return parseIdentity(buffer.toString('utf8'))
}

/** Replaces the identity as a whole: after a crash there is the old one or the new one. */
export async function writeIdentity(files: Files, identity: Identity): Promise<void> {
  const { server, storage, seed, place } = identity
  const common = { server, storage, seed }
  const fields =
    place === null ? { format: formatWithoutPlace, ...common } : { format, ...common, place: keptOf(place) }
  const text = `${JSON.stringify({ ...fields, crc32: checksum(fields) }, null, 2)}\n`
  await replaceFile(files, identityFileName, text)
}

/** JSON with the keys of every object in order, so that equal values have equal texts. */
function canonicalJson(value: JsonValue): string {
  return JSON.stringify(value, (_key, inner: JsonValue) => {
    if (typeof inner !== 'object' || inner === null || Array.isArray(inner)) return inner
    return Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
  })
}

function parseIdentity(text: string): Identity {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw damagedIdentity('it is not JSON', cause)
  }
  if (typeof value !== 'object' || value === null) throw damagedIdentity('it is not an object')
  const { crc32: crc, ...fields } = value as Record<string, JsonValue>
  if (typeof fields.format === 'number' && fields.format > format) throw newerFormat(fields.format)
  const isKnown = fields.format === format || fields.format === formatWithoutPlace
  if (!isKnown || crc !== checksum(fields)) throw damagedIdentity('its checksum does not fit')
  const { server, storage, seed, place } = fields
  if (typeof server !== 'string' || typeof storage !== 'string' || !uuidPattern.test(storage)) {
    throw damagedIdentity('a name is missing')
  }
  if (typeof seed !== 'number') throw damagedIdentity('a field is missing')
  const home = fields.format === format ? parsePlace(place) : null
  return { server: server as ServerId, storage, seed, place: home }
}

function parsePlace(value: JsonValue | undefined): Place {
  const { directory, note, path, host } = fieldsOf(value)
  return { directory: parseMark(directory), note: parseMark(note), path: parseText(path), host: parseText(host) }
}

function parseMark(value: JsonValue | undefined): FileMark {
  const { inode, birth } = fieldsOf(value)
  return { inode: parseText(inode), birth: parseText(birth) }
}

function fieldsOf(value: JsonValue | undefined): Readonly<Record<string, JsonValue>> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, JsonValue>
  throw damagedIdentity('its place is missing')
}

function parseText(value: JsonValue | undefined): string {
  if (typeof value === 'string') return value
  throw damagedIdentity('a part of its place is missing')
}

function checksum(fields: { readonly [key: string]: JsonValue }): number {
  return crc32(canonicalJson(fields))
}

export function damagedIdentity(what: string, cause?: unknown): EpochcastError {
  return new EpochcastError('EC_LOG_DAMAGED', `${identityFileName} is damaged: ${what}`, {
    cause,
    hint: `Put back an intact copy of this file; else ${emptyDirectory}`,
  })
}

function newerFormat(found: number): EpochcastError {
  return new EpochcastError('EC_LOG_FORMAT', `${identityFileName} has format ${found}, this version knows ${format}`, {
    hint: 'A newer version wrote this directory: start that version.',
  })
}
