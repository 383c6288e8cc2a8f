/** A binary heap: the first of what it holds, by an order that is total. */
export class Heap<Item> {
  readonly #items: Item[] = []
  readonly #isBefore: (one: Item, other: Item) => boolean

  constructor(isBefore: (one: Item, other: Item) => boolean) {
    this.#isBefore = isBefore
  }

  get first(): Item | undefined {
    return this.#items[0]
  }

  /** What it holds, in no order. */
  get all(): readonly Item[] {
    return this.#items
  }

  push(item: Item): void {
    const items = this.#items
    let at = items.push(item) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      const above = items[parent] as Item
      if (!this.#isBefore(item, above)) break
      items[at] = above
      at = parent
    }
    items[at] = item
  }

  /** Takes the first off. */
  pop(): void {
    const items = this.#items
    const last = items.pop()
    if (last === undefined || items.length === 0) return
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= items.length) break
      if (child + 1 < items.length && this.#isBefore(items[child + 1] as Item, items[child] as Item)) child++
      if (!this.#isBefore(items[child] as Item, last)) break
      items[at] = items[child] as Item
      at = child
    }
    items[at] = last
  }
}
