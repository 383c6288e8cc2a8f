/** Codecs of a caller's own that do not do what codecs do. */
import type { Codec } from '../../../client-sdk/index.ts'

const decode = (value: Uint8Array) => String(value)

export const codecs = [
  { encode: (value: string) => value, decode },
  { encode: async () => new Uint8Array(1), decode },
  { encode: () => undefined, decode },
  {
    encode: () => {
      throw new Error('cannot')
    },
    decode,
  },
  {
    encode: () => {
      throw undefined
    },
    decode,
  },
] as unknown as readonly Codec<string>[]
