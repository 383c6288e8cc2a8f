/** Headers of NATS and of messages: what goes over as it is, and what is the bridge's own. */
import { headers, type MsgHdrs } from '@nats-io/transport-node'
import type { Message, Properties } from '../../client-sdk/index.ts'

/** On everything that a bridge sends to NATS: the cluster that it came from. It never goes back there. */
export const clusterHeader = 'Epochcast-Cluster'
/** Where JetStream looks for what it has seen already. */
const messageIdHeader = 'Nats-Msg-Id'
const keyHeader = 'Epochcast-Key'
const contentTypeHeader = 'Content-Type'

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

export function headersOf(message: Message<Uint8Array>, cluster: string): MsgHdrs {
  const about = headers()
  for (const [name, value] of Object.entries(message.headers)) if (!isOwn(name)) about.set(name, value)
  if (message.key !== undefined) about.set(keyHeader, message.key)
  if (message.contentType !== undefined) about.set(contentTypeHeader, message.contentType)
  about.set(messageIdHeader, message.id)
  about.set(clusterHeader, cluster)
  return about
}

function isOwn(name: string): boolean {
  return name === clusterHeader || name === messageIdHeader || name === keyHeader || name === contentTypeHeader
}
