/** Aligned columns for people. */
import type { Colors } from './colors.ts'

export interface Column<Row> {
  readonly title: string
  readonly of: (row: Row) => string | number
  readonly align?: 'right'
  /** Colours a cell once it has its width. */
  readonly paint?: (text: string, row: Row) => string
}

/** Numbers stand at the right, text at the left unless it asks otherwise. */
export function table<Row>(rows: readonly Row[], columns: readonly Column<Row>[], colors: Colors): string {
  const cells = rows.map((row) => columns.map((column) => column.of(row)))
  const widths = columns.map(({ title }, at) => Math.max(title.length, ...cells.map((line) => textOf(line[at]).length)))
  const isRight = columns.map(
    ({ align }, at) => align === 'right' || (cells.length > 0 && cells.every((line) => typeof line[at] === 'number')),
  )
  const pad = (text: string, at: number): string => {
    const width = widths[at] ?? 0
    if (isRight[at] === true) return text.padStart(width)
    return at === columns.length - 1 ? text : text.padEnd(width)
  }
  const head = columns.map(({ title }, at) => colors.bold(pad(title, at))).join('  ')
  const lines = rows.map((row, line) =>
    columns.map(({ paint }, at) => {
      const text = pad(textOf(cells[line]?.[at]), at)
      return paint === undefined ? text : paint(text, row)
    }),
  )
  return [head, ...lines.map((line) => line.join('  '))].map((line) => `${line.trimEnd()}\n`).join('')
}

function textOf(cell: string | number | undefined): string {
  return typeof cell === 'number' ? cell.toLocaleString('en-US') : (cell ?? '')
}
