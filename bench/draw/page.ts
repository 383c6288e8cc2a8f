/** A page that needs nothing but itself: charts that can be zoomed, the tables, and the results they were made from. */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import type { Picture, TimeChart } from './chart.ts'
import { logBins, ratesOf } from './chart.ts'
import { chartSvg, escaped } from './svg.ts'

/** @param words the tables as they are printed */
export function pictureHtml(picture: Picture, words: string): string {
  const require = createRequire(import.meta.url)
  const folder = dirname(require.resolve('uplot'))
  const script = readFileSync(join(folder, 'uPlot.iife.min.js'), 'utf8')
  const css = readFileSync(join(folder, 'uPlot.min.css'), 'utf8')
  const charts = picture.charts.map((chart, at) => {
    if (chart.kind === 'time' || chart.kind === 'histogram') {
      return `<section><h2>${escaped(chart.title)}</h2><div id="chart-${at}" class="chart"></div></section>`
    }
    return `<section class="still">${chartSvg(chart)}</section>`
  })
  const data = picture.charts.map((chart) => {
    if (chart.kind === 'time') return timeData(chart)
    if (chart.kind !== 'histogram') return null
    return { kind: chart.kind, series: chart.series.map(({ name, buckets }) => ({ name, bins: logBins(buckets) })) }
  })
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escaped(picture.title)}</title>
<style>${css}</style>
<style>${pageStyle}</style>
</head>
<body>
<main>
<h1>${escaped(picture.title)}</h1>
<p class="dim">${escaped(picture.subtitle)}</p>
${charts.join('\n')}
<section><h2>Figures</h2><pre>${escaped(words)}</pre></section>
</main>
<script>${script}</script>
<script>const data = ${JSON.stringify(data).replaceAll('<', '\\u003c')}
${pageScript}</script>
</body>
</html>
`
}

function timeData(chart: TimeChart) {
  const [first] = chart.series
  const times = first === undefined ? [] : ratesOf(chart, first.counts, 1).map(({ at }) => Number(at.toFixed(3)))
  const series = chart.series.map(({ name, counts }) => ({
    name,
    rates: ratesOf(chart, counts, 1).map(({ rate }) => Math.round(rate)),
  }))
  return { kind: chart.kind, unit: chart.unit, times, series, marks: chart.marks }
}

const pageStyle = `
:root { --page: #ffffff; --text: #1f2328; --dim: #59636e; --grid: #d9dee4; --c0: #0969da; --c1: #bc4c00; --c2: #1a7f37; --mark: #8250df }
@media (prefers-color-scheme: dark) {
:root { --page: #0d1117; --text: #e6edf3; --dim: #9198a1; --grid: #2a313c; --c0: #4493f8; --c1: #f0883e; --c2: #3fb950; --mark: #c297ff }
}
body { margin: 0; background: var(--page); color: var(--text); font: 14px/1.5 system-ui, -apple-system, "Segoe UI", Arial, sans-serif }
main { max-width: 1080px; margin: 0 auto; padding: 24px 16px }
h1 { font-size: 22px; margin: 0 } h2 { font-size: 15px; margin: 28px 0 8px } .dim { color: var(--dim); margin: 4px 0 }
pre { overflow-x: auto; font: 12px/1.5 ui-monospace, "SF Mono", Menlo, Consolas, monospace }
.chart { width: 100% } .still svg { max-width: 100%; height: auto; margin-top: 16px } .hint { color: var(--dim); font-size: 12px }
.u-legend { color: var(--text); font-size: 12px } .u-legend .u-marker { border-radius: 2px } .u-select { background: color-mix(in srgb, var(--c0) 20%, transparent) }
`.trim()

const pageScript = `
const plots = []
const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim()
const short = (v) => v == null ? '' : Math.abs(v) >= 1e6 ? +(v / 1e6).toFixed(2) + 'M' : Math.abs(v) >= 1e4 ? +(v / 1e3).toFixed(1) + 'k' : +(+v).toPrecision(3) + ''
const axis = (label, more) => ({ label, labelSize: 22, labelFont: '12px system-ui', font: '12px system-ui', stroke: color('--dim'), grid: { stroke: color('--grid'), width: 1 }, ticks: { stroke: color('--grid') }, ...more })
const joined = (one) => {
  const each = 10, n = Math.floor(one.times.length / each)
  if (one.times.length <= 500) return null
  const mean = (values) => Array.from({ length: n }, (_, i) => values.slice(i * each, (i + 1) * each).reduce((a, b) => a + b, 0) / each)
  return [mean(one.times), ...one.series.map((s) => mean(s.rates))]
}
function time(one, at) {
  const host = document.getElementById('chart-' + at)
  const coarse = joined(one), fine = [one.times, ...one.series.map((s) => s.rates)]
  let isFine = coarse === null
  const marks = (u) => {
    const { ctx, bbox } = u
    ctx.save(); ctx.strokeStyle = color('--mark'); ctx.fillStyle = color('--mark'); ctx.setLineDash([4 * devicePixelRatio, 3 * devicePixelRatio])
    ctx.font = 11 * devicePixelRatio + 'px system-ui'
    ctx.textAlign = 'left'
    let free = -Infinity
    for (const mark of one.marks) {
      const x = u.valToPos(mark.at, 'x', true)
      if (x < bbox.left || x > bbox.left + bbox.width) continue
      ctx.beginPath(); ctx.moveTo(x, bbox.top); ctx.lineTo(x, bbox.top + bbox.height); ctx.stroke()
      const length = ctx.measureText(mark.label).width + 8 * devicePixelRatio
      if (x > free) { ctx.fillText(mark.label, x + 3 * devicePixelRatio, bbox.top + 12 * devicePixelRatio); free = x + length }
    }
    ctx.restore()
  }
  // Close enough, and each slice of 10 ms is shown; farther away ten of them together.
  const detail = (u) => {
    if (coarse === null) return
    const { min, max } = u.scales.x
    const wanted = max - min < 6
    if (wanted === isFine) return
    isFine = wanted
    queueMicrotask(() => { u.setData(isFine ? fine : coarse, false); u.setScale('x', { min, max }) })
  }
  const u = new uPlot({
    width: host.clientWidth, height: 340,
    scales: { x: { time: false }, y: { range: (u, min, max) => [0, Math.max(1, max) * 1.12] } },
    axes: [axis('seconds (drag to zoom, double-click to see all)'), axis(one.unit, { size: 64, values: (u, values) => values.map(short) })],
    series: [{ label: 'seconds', value: (u, v) => v == null ? '' : v.toFixed(2) }, ...one.series.map((s, i) => ({ label: s.name, stroke: color('--c' + i % 3), width: 1.25, points: { show: false }, value: (u, v) => short(v) }))],
    hooks: { draw: [marks], setScale: [detail] },
  }, coarse ?? fine, host)
  plots.push(u)
}
function histogram(one, at) {
  const host = document.getElementById('chart-' + at)
  const edges = [...new Set(one.series.flatMap((s) => s.bins.map((b) => b.from)))].sort((a, b) => a - b)
  const of = (s) => { const counts = new Map(s.bins.map((b) => [b.from, b.count])); return edges.map((e) => counts.get(e) ?? null) }
  const u = new uPlot({
    width: host.clientWidth, height: 260,
    scales: { x: { time: false, distr: 3 }, y: { distr: 3, range: (u, min, max) => [0.5, Math.max(10, max * 2)] } },
    axes: [axis('milliseconds', { values: (u, values) => values.map((v) => v == null ? '' : Math.abs(Math.log10(v) % 1) < 1e-6 ? short(v) : '') }), axis('how often', { size: 64, values: (u, values) => values.map((v) => v != null && Math.abs(Math.log10(v) % 1) < 1e-6 ? short(v) : '') })],
    series: [{ label: 'from ms', value: (u, v) => short(v) }, ...one.series.map((s, i) => ({ label: s.name, stroke: color('--c' + i % 3), fill: color('--c' + i % 3) + '59', points: { show: false }, paths: uPlot.paths.bars({ size: [0.9, 60], align: 1 }), value: (u, v) => v == null ? '0' : short(v) }))],
  }, [edges, ...one.series.map(of)], host)
  plots.push(u)
}
function draw() {
  for (const u of plots.splice(0)) u.destroy()
  data.forEach((one, at) => { if (one?.kind === 'time') time(one, at); else if (one?.kind === 'histogram') histogram(one, at) })
}
draw()
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', draw)
let resizing
addEventListener('resize', () => { clearTimeout(resizing); resizing = setTimeout(draw, 100) })
`.trim()
