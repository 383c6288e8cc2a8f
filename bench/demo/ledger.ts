/** What is known of each line on the side that published it: its bytes' checksum, and the id that it ended up with. */
export class Ledger {
  readonly total: number
  readonly checks: Uint32Array
  readonly epochs: Uint32Array
  readonly sequences: Uint32Array

  constructor(total: number) {
    this.total = total
    this.checks = new Uint32Array(total)
    this.epochs = new Uint32Array(total)
    this.sequences = new Uint32Array(total)
  }
}
