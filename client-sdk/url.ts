/** Where a cluster is, as urls and the environment say it. */

import { refusal } from '../proto/door/refusal.ts'
import { EpochcastError } from '../proto/errors.ts'
import { type Address, address } from '../proto/ids.ts'
import { shown } from '../proto/shown.ts'
import { isNatsUrl, parseNatsUrl } from '../proto/transport/nats-options.ts'

export const defaultUrl = 'epochcast://127.0.0.1:7400'
const defaultPort = 7400
const variable = 'EPOCHCAST_URL'

/** Addresses in an `epochcast://` url. @throws EpochcastError `EC_BAD_ARGUMENT` */
export function parseUrl(url: string): Address[] {
  const match = typeof url === 'string' ? /^epochcast:\/\/([^/?#]+)\/?$/.exec(url) : null
  if (match === null) throw refusal(`${shown(url)} is not an epochcast:// url`, `e.g. ${defaultUrl}`)
  return (match[1] ?? '').split(',').map((part) => {
    const host = /^(\[[0-9a-fA-F:]+\]|[^:[\]@\s]+)(?::(\d{1,5}))?$/.exec(part)
    const port = host?.[2] === undefined ? defaultPort : Number(host[2])
    if (host === null || port < 1 || port > 65_535) throw refusal(`${shown(part)} in ${url} is not host:port`)
    return address(`${host[1]}:${port}`)
  })
}

/**
 * The url in the environment; undefined where there is none.
 * @throws EpochcastError `EC_BAD_ARGUMENT`, naming the variable: an empty one is a mistake in a script more often than a wish
 */
export function environmentUrl(): string | undefined {
  const url = process.env[variable]
  if (url === undefined) return undefined
  if (url.trim() === '') throw refusal(`${variable} is set and empty`, `unset it, or say e.g. ${defaultUrl}`)
  try {
    if (isNatsUrl(url)) parseNatsUrl(url)
    else parseUrl(url)
  } catch (error) {
    if (!(error instanceof EpochcastError)) throw error
    throw refusal(`${variable}: ${error.message}`, error.hint, error)
  }
  return url
}
