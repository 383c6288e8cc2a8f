/** Numbers below 2^35 in seven bits a byte, the least significant first. */

export function varintLength(value: number): number {
  let length = 1
  for (let rest = value; rest > 0x7f; rest = Math.floor(rest / 128)) length++
  return length
}

/** @returns the place behind it */
export function writeVarint(buffer: Uint8Array, at: number, value: number): number {
  let rest = value
  let place = at
  while (rest > 0x7f) {
    buffer[place++] = (rest & 0x7f) | 0x80
    rest >>>= 7
  }
  buffer[place++] = rest
  return place
}

/** @returns the number and the place behind it; null where none is written */
export function readVarint(bytes: Uint8Array, at: number): [number, number] | null {
  let value = 0
  for (let place = at, shift = 0; shift < 35; place++, shift += 7) {
    const byte = bytes[place]
    if (byte === undefined) return null
    value += (byte & 0x7f) * 2 ** shift
    if (byte < 0x80) return [value, place + 1]
  }
  return null
}
