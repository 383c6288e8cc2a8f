import { EpochcastError } from '../../proto/errors.ts'

/** @throws EpochcastError `EC_BAD_ARGUMENT`, without showing a password */
export function checkRedisUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null
  if (url !== null && /^rediss?:$/.test(url.protocol) && url.hostname !== '') return text
  const hint = 'e.g. redis://127.0.0.1:6379, or rediss:// with TLS'
  throw new EpochcastError('EC_BAD_ARGUMENT', 'this is no redis:// url', { hint })
}
