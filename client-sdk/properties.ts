/**
 * Properties of a message, apart from its payload: key, content type, headers, and where an answer goes. Written into the header of
 * its entry, which is empty for a message that has none of it.
 *
 *     tag (1 byte) | length (varint) | content      again and again; a tag that is not known is skipped
 */

import { type Check, text } from '../proto/door/checks.ts'
import { type Checks, entriesOf } from '../proto/door/options.ts'
import { refusal } from '../proto/door/refusal.ts'
import { EpochcastError } from '../proto/errors.ts'
import { shown } from '../proto/shown.ts'
import { readVarint, varintLength, writeVarint } from './varint.ts'

export interface Properties {
  /** The subject of the message, for its readers; the servers do not look at it. */
  readonly key?: string
  /** MIME type of the payload, e.g. `application/json`. */
  readonly contentType?: string
  readonly headers?: Readonly<Record<string, string>>
}

/** Of requests and replies: where the reply goes, and which request it belongs to. */
export interface Correlation {
  readonly replyTo?: string
  readonly request?: string
  /** A reply that says why there is none. */
  readonly failure?: string
  /** Not a reply: a responder of this group came. The payload says where the group began to read the topic. */
  readonly responders?: string
}

export type AllProperties = Properties & Correlation

/** Bytes of key, content type and headers of one message. */
export const propertiesBytesMax = 16 * 1024
/**
 * Bytes that the product itself adds to a message: where its reply goes, why it was put aside. They come on top of what users are
 * allowed (`messageBytesMax`, `propertiesBytesMax`), so what could be published can also be asked, answered and put aside.
 */
export const addedBytesMax = 8 * 1024

export const noProperties: AllProperties = {}
export const noHeader = new Uint8Array(0)
const tags = { key: 1, contentType: 2, header: 3, replyTo: 4, request: 5, failure: 6, responders: 7 } as const
const headerName = /^[!-9;-~]{1,100}$/

/** Header values that JSON, `Map` and the wire have alike: text by name. */
const headers: Check<Readonly<Record<string, string>>> = (given, what) => {
  const read: Record<string, string> = Object.create(null)
  for (const [name, value] of entriesOf(given, what)) {
    if (!headerName.test(name)) throw badHeader(name, 'a name is 1 to 100 visible ASCII characters without ":"')
    if (typeof value !== 'string') throw badHeader(name, `its value is ${shown(value)}, not a string`)
    read[name] = headerText(value, `header ${name}`)
  }
  return read
}

/** An empty text is one, and not left out. */
const headerText = text(propertiesBytesMax, 0)

/** Checks of what a message carries beside its payload: what one message had may be published again as it is. */
export const propertyChecks: Checks<AllProperties> = {
  key: headerText,
  contentType: headerText,
  headers,
  replyTo: headerText,
  request: headerText,
  failure: headerText,
  responders: headerText,
}

/** @throws EpochcastError `EC_BAD_ARGUMENT` for more than 16 KiB of key, content type and headers */
export function encodeProperties(properties: AllProperties): Uint8Array {
  const { key, contentType, headers, replyTo, request, failure, responders } = properties
  // Most messages have none: that costs nothing.
  if ((key ?? contentType ?? headers ?? replyTo ?? request ?? failure ?? responders) === undefined) return noHeader
  const fields: Field[] = []
  const add = (tag: number, text: string | undefined) => {
    if (text !== undefined) fields.push({ tag, content: Buffer.from(text) })
  }
  add(tags.key, key)
  add(tags.contentType, contentType)
  for (const [name, value] of Object.entries(headers ?? {})) {
    fields.push({ tag: tags.header, content: headerContent(name, value) })
  }
  const length = lengthOf(fields)
  if (length > propertiesBytesMax) {
    const text = `key, content type and headers are ${length} bytes, more than the ${propertiesBytesMax} that are allowed`
    throw new EpochcastError('EC_BAD_ARGUMENT', text, { hint: 'put what is large into the payload' })
  }
  add(tags.replyTo, replyTo)
  add(tags.request, request)
  add(tags.failure, failure)
  add(tags.responders, responders)
  return fields.length === 0 ? noHeader : written(fields)
}

/**
 * A header as it was published, with other headers of the product.
 * @param prefix headers whose names begin with it are left out: they were added the last time
 */
export function withHeaders(header: Uint8Array, prefix: string, headers: Readonly<Record<string, string>>): Uint8Array {
  const isOld = ({ tag, content }: Field) => tag === tags.header && textOf(content).startsWith(prefix)
  const fields = [...fieldsOf(header)].filter((field) => !isOld(field))
  for (const [name, value] of Object.entries(headers)) {
    fields.push({ tag: tags.header, content: headerContent(name, value) })
  }
  return written(fields)
}

/** What `encodeProperties` wrote; bytes that it did not write read as far as they make sense. */
export function decodeProperties(header: Uint8Array): AllProperties {
  const properties: { -readonly [K in keyof AllProperties]: AllProperties[K] } = {}
  const headers: Record<string, string> = Object.create(null)
  let hasHeaders = false
  for (const { tag, content } of fieldsOf(header)) {
    if (tag === tags.key) properties.key = textOf(content)
    else if (tag === tags.contentType) properties.contentType = textOf(content)
    else if (tag === tags.replyTo) properties.replyTo = textOf(content)
    else if (tag === tags.request) properties.request = textOf(content)
    else if (tag === tags.failure) properties.failure = textOf(content)
    else if (tag === tags.responders) properties.responders = textOf(content)
    else if (tag === tags.header) {
      const end = content.indexOf(0x3a)
      if (end < 1) continue
      headers[textOf(content.subarray(0, end))] = textOf(content.subarray(end + 1))
      hasHeaders = true
    }
  }
  return hasHeaders ? { ...properties, headers } : properties
}

function headerContent(name: string, value: string): Uint8Array {
  return Buffer.from(`${name}:${value}`)
}

function badHeader(name: string, hint: string): EpochcastError {
  return refusal(`header ${shown(name)} cannot be carried`, hint)
}

interface Field {
  readonly tag: number
  readonly content: Uint8Array
}

function lengthOf(fields: readonly Field[]): number {
  let length = 0
  for (const { content } of fields) length += 1 + varintLength(content.length) + content.length
  return length
}

function written(fields: readonly Field[]): Uint8Array {
  const bytes = new Uint8Array(lengthOf(fields))
  let at = 0
  for (const { tag, content } of fields) {
    bytes[at++] = tag
    at = writeVarint(bytes, at, content.length)
    bytes.set(content, at)
    at += content.length
  }
  return bytes
}

function* fieldsOf(header: Uint8Array): Iterable<Field> {
  let at = 0
  while (at < header.length) {
    const tag = header[at] ?? 0
    const read = readVarint(header, at + 1)
    if (read === null || read[1] + read[0] > header.length) return
    yield { tag, content: header.subarray(read[1], read[1] + read[0]) }
    at = read[1] + read[0]
  }
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString()
}
