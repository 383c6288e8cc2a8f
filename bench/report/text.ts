/** Numbers and tables for people. */

export function whole(value: number | null): string {
  return value === null ? '-' : Math.round(value).toLocaleString('en-US')
}

/** Milliseconds with as many digits as they deserve. */
export function ms(value: number | null): string {
  if (value === null) return '-'
  return value < 1 ? value.toFixed(3) : value < 100 ? value.toFixed(2) : whole(value)
}

export function percent(share: number | null): string {
  if (share === null) return '-'
  return `${(share * 100).toFixed(Math.abs(share) < 0.1 ? 1 : 0)}%`
}

export function times(ratio: number | null): string {
  return ratio === null ? '-' : `${ratio < 10 ? ratio.toFixed(1) : whole(ratio)} x`
}

/** Aligned columns under their headings. @param right columns whose cells stand at the right */
export function textTable(
  headings: readonly string[],
  rows: readonly (readonly string[])[],
  right: readonly number[] = [],
): string {
  const all = [headings, ...rows]
  const widths = headings.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)))
  const pad = (text: string, column: number) =>
    right.includes(column) ? text.padStart(widths[column] ?? 0) : text.padEnd(widths[column] ?? 0)
  return all.map((row) => row.map(pad).join('  ').trimEnd()).join('\n')
}
