/**
 * The states that were seen, as 64 bits of a hash each: with 10^7 states the chance that two of them share a hash, and one is
 * not looked at, is below one in 10^5.
 */
const loadMax = 0.6

export class SeenStates {
  count = 0
  #high = new Uint32Array(1 << 20)
  #low = new Uint32Array(1 << 20)

  /** @returns whether it is new */
  add(locals: Uint16Array, parcels: Uint16Array, facts: number, rest: number): boolean {
    let high = 0x9e37_79b9
    let low = 0x85eb_ca6b
    const mix = (value: number) => {
      high = Math.imul(high ^ value, 0x01000193)
      high = (high << 13) | (high >>> 19)
      low = Math.imul(low ^ (value + 0x7f4a_7c15), 0xc2b2_ae35)
      low = (low << 15) | (low >>> 17)
    }
    for (const one of locals) mix(one)
    mix(0x1_0001)
    for (const one of parcels) mix(one)
    mix(facts)
    mix(rest)
    high = Math.imul(high ^ (high >>> 16), 0x85eb_ca6b)
    low = Math.imul(low ^ (low >>> 15), 0x27d4_eb2f)
    high ^= low >>> 13
    low ^= high >>> 16
    return this.#insert(high >>> 0, low >>> 0 || 1)
  }

  #insert(high: number, low: number): boolean {
    if (this.count > this.#low.length * loadMax) this.#grow()
    const mask = this.#low.length - 1
    let at = (high ^ low) & mask
    while (this.#low[at] !== 0) {
      if (this.#low[at] === low && this.#high[at] === high) return false
      at = (at + 1) & mask
    }
    this.#low[at] = low
    this.#high[at] = high
    this.count++
    return true
  }

  #grow(): void {
    const [highs, lows] = [this.#high, this.#low]
    this.#high = new Uint32Array(highs.length * 2)
    this.#low = new Uint32Array(lows.length * 2)
    this.count = 0
    for (let at = 0; at < lows.length; at++) if (lows[at] !== 0) this.#insert(highs[at] as number, lows[at] as number)
  }
}
