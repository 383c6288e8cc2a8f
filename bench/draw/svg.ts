/** A picture as SVG, readable on light and on dark, that needs nothing but itself. */
import {
  type BarChart,
  type Chart,
  type HistogramChart,
  logBins,
  type Picture,
  ratesOf,
  type StemChart,
  type TimeChart,
} from './chart.ts'
import { linear, logarithmic, type Scale, short, stretch } from './scale.ts'

const width = 860
const left = 64
const right = 24
const pointsMax = 400
const labelledMarksMax = 40
const labelWidth = 15
const barHeight = 26

/** Colours follow what the reader's system prefers. */
const style = `
.page { fill: #ffffff } .text { fill: #1f2328 } .dim { fill: #59636e } .grid { stroke: #d9dee4 } .axis { stroke: #8b949e }
.c0 { stroke: #0969da } .f0 { fill: #0969da } .c1 { stroke: #bc4c00 } .f1 { fill: #bc4c00 } .c2 { stroke: #1a7f37 } .f2 { fill: #1a7f37 }
.other { fill: #8b949e } .range { stroke: #1f2328 } .mark { stroke: #8250df } .marktext { fill: #8250df } .level { stroke: #59636e }
@media (prefers-color-scheme: dark) {
.page { fill: #0d1117 } .text { fill: #e6edf3 } .dim { fill: #9198a1 } .grid { stroke: #2a313c } .axis { stroke: #6e7681 }
.c0 { stroke: #4493f8 } .f0 { fill: #4493f8 } .c1 { stroke: #f0883e } .f1 { fill: #f0883e } .c2 { stroke: #3fb950 } .f2 { fill: #3fb950 }
.other { fill: #6e7681 } .range { stroke: #e6edf3 } .mark { stroke: #ab7df8 } .marktext { fill: #c297ff } .level { stroke: #9198a1 }
}
text { font: 12px system-ui, -apple-system, "Segoe UI", "Helvetica Neue", Arial, sans-serif }
.small { font-size: 11px } .title { font-size: 16px; font-weight: 600 } .panel { font-size: 13px; font-weight: 600 }
.line { fill: none; stroke-width: 1.5; stroke-linejoin: round } .thin { stroke-width: 1 } .dash { stroke-dasharray: 4 3 }
`.trim()

interface Panel {
  readonly height: number
  readonly body: string
}

export function pictureSvg({ title, subtitle, charts }: Picture): string {
  const parts: string[] = []
  let y = 62
  for (const chart of charts) {
    const { height, body } = panelOf(chart)
    parts.push(`<g transform="translate(0 ${y})">${body}</g>`)
    y += height
  }
  const height = y + 8
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img">`,
    `<title>${escaped(title)}</title><style>${style}</style>`,
    `<rect class="page" width="${width}" height="${height}" rx="6"/>`,
    text(24, 28, title, 'text title'),
    text(24, 46, subtitle, 'dim'),
    ...parts,
    '</svg>\n',
  ].join('\n')
}

/** One chart alone, for a page that brings the rest. */
export function chartSvg(chart: Chart): string {
  const { height, body } = panelOf(chart)
  const box = `width="${width}" height="${height}" viewBox="0 0 ${width} ${height}"`
  return `<svg xmlns="http://www.w3.org/2000/svg" ${box} role="img"><style>${style}</style>${body}</svg>`
}

function panelOf(chart: Chart): Panel {
  switch (chart.kind) {
    case 'time':
      return timePanel(chart)
    case 'stems':
      return stemPanel(chart)
    case 'histogram':
      return histogramPanel(chart)
    case 'bars':
      return barPanel(chart)
  }
}

function timePanel(chart: TimeChart): Panel {
  const isLabelled = chart.marks.length > 0 && chart.marks.length <= labelledMarksMax
  const top = isLabelled ? 100 : 48
  const bottom = top + 180
  const slices = Math.ceil(((chart.to - chart.from) * 1000) / chart.sliceMs)
  const each = Math.max(1, Math.ceil(slices / pointsMax))
  const lines = chart.series.map(({ name, counts }) => ({ name, rates: ratesOf(chart, counts, each) }))
  const highest = Math.max(1, ...lines.flatMap(({ rates }) => rates.map(({ rate }) => rate)))
  const x = stretch(chart.from, chart.to, left, width - right)
  const y = linear(highest, bottom, top)
  let free = left
  const marks = chart.marks.map(({ at, label }) => {
    const place = coordinate(x.at(at))
    const line = `<line class="mark thin dash" x1="${place}" x2="${place}" y1="${top}" y2="${bottom}"/>`
    if (!isLabelled) return line
    // Labels that would lie on each other step aside.
    const aside = Math.max(place, free)
    free = aside + labelWidth
    const leader = aside === place ? '' : `<path class="mark line thin" d="M${place} ${top}L${aside} ${top - 5}"/>`
    const spot = `transform="translate(${coordinate(aside + 3)} ${top - 8}) rotate(-40)"`
    return `${line}${leader}<text class="marktext small" ${spot}>${escaped(label)}</text>`
  })
  const body = [
    text(24, 16, chart.title, 'text panel'),
    legend(lines.map(({ name }) => name)),
    yAxis(y, chart.unit, top),
    xAxis(x, bottom, 'seconds', (value) => short(value)),
    ...marks,
    ...lines.map(({ rates }, at) => {
      const points = rates.map(({ at: moment, rate }) => `${coordinate(x.at(moment))},${coordinate(y.at(rate))}`)
      return `<polyline class="line c${at % 3}" points="${points.join(' ')}"/>`
    }),
  ]
  return { height: bottom + 52, body: body.join('\n') }
}

function stemPanel({ title, unit, stems, level, from, to }: StemChart): Panel {
  const [top, bottom] = [48, 158]
  const x = stretch(from, to, left, width - right)
  const y = linear(Math.max(level?.value ?? 0, ...stems.map((stem) => stem.value)) * 1.1, bottom, top, 4)
  const body = [
    text(24, 16, title, 'text panel'),
    yAxis(y, unit, top),
    xAxis(x, bottom, 'seconds', (value) => short(value)),
    ...stems.map(({ at, value }) => {
      const [px, py] = [coordinate(x.at(at)), coordinate(y.at(value))]
      return `<line class="c1 thin" x1="${px}" x2="${px}" y1="${bottom}" y2="${py}"/><circle class="f1" cx="${px}" cy="${py}" r="3.5"/>`
    }),
  ]
  if (level !== null) {
    const place = coordinate(y.at(level.value))
    body.push(
      `<line class="level thin dash" x1="${left}" x2="${width - right}" y1="${place}" y2="${place}"/>`,
      text(width - right, top - 8, `- - ${level.label}: ${short(level.value)} ${unit}`, 'dim small', 'end'),
    )
  }
  return { height: bottom + 52, body: body.join('\n') }
}

function histogramPanel({ title, series }: HistogramChart): Panel {
  const [top, bottom] = [48, 198]
  const binned = series.map(({ name, buckets }) => ({ name, bins: logBins(buckets) }))
  const all = binned.flatMap(({ bins }) => bins)
  const x = logarithmic(
    Math.min(1, ...all.map((bin) => bin.from)),
    Math.max(10, ...all.map((bin) => bin.to)),
    left,
    width - right,
  )
  const y = logarithmic(1, Math.max(10, ...all.map((bin) => bin.count)), bottom, top)
  const body = [
    text(24, 16, title, 'text panel'),
    legend(binned.map(({ name }) => name)),
    yAxis(y, 'how often', top),
    xAxis(x, bottom, 'milliseconds', short),
    ...binned.flatMap(({ bins }, at) => {
      const inset = at * 2
      return bins.map(({ from, to, count }) => {
        const [begin, end] = [x.at(from) + 1 + inset, x.at(to) - 1]
        // One alone must be seen too.
        const place = Math.min(y.at(count), bottom - 3)
        const box = `x="${coordinate(begin)}" y="${coordinate(place)}" width="${coordinate(Math.max(1, end - begin))}"`
        return `<rect class="f${at % 3}" fill-opacity="${at === 0 ? 0.85 : 0.6}" ${box} height="${coordinate(bottom - place)}"/>`
      })
    }),
  ]
  return { height: bottom + 52, body: body.join('\n') }
}

function barPanel({ title, unit, isLog, bars }: BarChart): Panel {
  const begin = 24 + Math.max(60, ...bars.map(({ name }) => name.length * 6.6)) + 12
  const end = width - right - 190
  const top = 34
  const bottom = top + bars.length * barHeight + 6
  const values = bars.flatMap(({ value, min, max }) => [value, min ?? value, max ?? value])
  const positive = values.filter((value) => value > 0)
  const x = isLog
    ? logarithmic(Math.min(1, ...positive), Math.max(1, ...positive), begin, end)
    : linear(Math.max(...values), begin, end)
  const rows = bars.map(({ name, value, min, max, note, isOurs }, at) => {
    const y = top + at * barHeight
    const middle = y + barHeight / 2
    const length = Math.max(1, x.at(value) - begin)
    const range =
      min === undefined || max === undefined || min === max
        ? ''
        : `<line class="range thin" x1="${coordinate(x.at(min))}" x2="${coordinate(x.at(max))}" y1="${middle}" y2="${middle}"/>`
    const words = `${short(value)} ${unit}${note === undefined ? '' : `  ${note}`}`
    const after = Math.max(x.at(value), max === undefined ? 0 : x.at(max)) + 8
    return [
      text(begin - 10, middle + 4, name, isOurs ? 'text' : 'dim', 'end'),
      `<rect class="${isOurs ? 'f0' : 'other'}" x="${coordinate(begin)}" y="${y + 5}" width="${coordinate(length)}" height="${barHeight - 10}" rx="2"/>`,
      range,
      text(coordinate(after), middle + 4, words, 'text small'),
    ].join('')
  })
  const grid = x.ticks.map((tick) => {
    const place = coordinate(x.at(tick))
    return `<line class="grid thin" x1="${place}" x2="${place}" y1="${top}" y2="${bottom}"/>${text(place, bottom + 15, short(tick), 'dim small', 'middle')}`
  })
  const body = [text(24, 16, title, 'text panel'), ...grid, ...rows, text(end + 34, bottom + 15, unit, 'dim small')]
  return { height: bottom + 40, body: body.join('\n') }
}

function yAxis(scale: Scale, unit: string, top: number): string {
  const lines = scale.ticks.map((tick) => {
    const y = coordinate(scale.at(tick))
    return `<line class="grid thin" x1="${left}" x2="${width - right}" y1="${y}" y2="${y}"/>${text(left - 8, y + 4, short(tick), 'dim small', 'end')}`
  })
  return [...lines, text(24, top - 12, unit, 'dim small')].join('')
}

function xAxis(scale: Scale, bottom: number, unit: string, name: (value: number) => string): string {
  const ticks = scale.ticks.map((tick) => {
    const x = coordinate(scale.at(tick))
    return `<line class="axis thin" x1="${x}" x2="${x}" y1="${bottom}" y2="${bottom + 4}"/>${text(x, bottom + 17, name(tick), 'dim small', 'middle')}`
  })
  const line = `<line class="axis thin" x1="${left}" x2="${width - right}" y1="${bottom}" y2="${bottom}"/>`
  return [line, ...ticks, text(width - right, bottom + 32, unit, 'dim small', 'end')].join('')
}

function legend(names: readonly string[]): string {
  let x = width - right
  const parts: string[] = []
  for (const [at, name] of [...names.entries()].reverse()) {
    parts.push(text(x, 16, name, 'text small', 'end'))
    x -= name.length * 7 + 8
    parts.push(`<rect class="f${at % 3}" x="${coordinate(x - 10)}" y="7" width="10" height="10" rx="2"/>`)
    x -= 28
  }
  return parts.join('')
}

function text(x: number, y: number, content: string, classes: string, anchor = 'start'): string {
  return `<text class="${classes}" x="${x}" y="${y}" text-anchor="${anchor}">${escaped(content)}</text>`
}

function coordinate(value: number): number {
  return Math.round(value * 10) / 10
}

export function escaped(content: string): string {
  return content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
}
