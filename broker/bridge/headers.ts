/** Headers of NATS and of messages: what goes over as it is, and what is the bridge's own. */
import { headers, type MsgHdrs } from '@nats-io/transport-node'
import type { Message, Properties } from '../../client-sdk/index.ts'

/** On everything that a bridge sends to NATS: the cluster that it came from. It never goes back there. */
export const clusterHeader = 'Epochcast-Cluster'
/** Where JetStream looks for what it has seen already. */
const messageIdHeader = 'Nats-Msg-Id'
const keyHeader = 'Epochcast-Key'
const contentTypeHeader = 'Content-Type'
/** Names of what a message has and NATS cannot carry, percent-encoded, with spaces between them. */
const leftOutHeader = 'Epochcast-Left-Out'
const ownHeaders: readonly string[] = [clusterHeader, messageIdHeader, keyHeader, contentTypeHeader, leftOutHeader]

/** Of a header that has several values the first is taken. */
export function propertiesOf(from: MsgHdrs | undefined): Properties {
  if (from === undefined) return {}
  const rest: Record<string, string> = {}
  for (const name of from.keys()) if (!isOwn(name)) rest[name] = from.get(name)
  const key = from.get(keyHeader)
  const contentType = from.get(contentTypeHeader)
  return {
    ...(key !== '' && { key }),
    ...(contentType !== '' && { contentType }),
    ...(Object.keys(rest).length > 0 && { headers: rest }),
  }
}

/** What NATS cannot carry is left out, and `leftOutHeader` names it: a message must not stand in the way of those behind it. */
export function headersOf(message: Message<Uint8Array>, cluster: string): MsgHdrs {
  const about = headers()
  const leftOut: string[] = []
  const add = (name: string, value: string | undefined) => {
    if (value !== undefined && !isSet(about, name, value)) leftOut.push(encodeURIComponent(wellFormed(name)))
  }
  for (const [name, value] of Object.entries(message.headers)) if (!isOwn(name)) add(name, value)
  add(keyHeader, message.key)
  add(contentTypeHeader, message.contentType)
  if (leftOut.length > 0) about.set(leftOutHeader, leftOut.join(' '))
  about.set(messageIdHeader, message.id)
  about.set(clusterHeader, cluster)
  return about
}

/** NATS takes no line ends, takes off spaces at both ends, and has fewer names. */
function isSet(about: MsgHdrs, name: string, value: string): boolean {
  if (value !== value.trim()) return false
  try {
    about.set(name, value)
    return true
  } catch {
    return false
  }
}

/** A name that was read from bytes that are no text has characters that stand for them, and never half of one. */
function wellFormed(name: string): string {
  return Buffer.from(name).toString()
}

function isOwn(name: string): boolean {
  return ownHeaders.includes(name)
}
