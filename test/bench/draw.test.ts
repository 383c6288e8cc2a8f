// Goal: pictures are well-formed, show every figure that they are given, and need nothing from elsewhere. Method: they are drawn
// from small data and looked at as text.
import { describe, expect, it } from 'vitest'
import { type Chart, logBins, type Picture, ratesOf } from '../../bench/draw/chart.ts'
import { pictureHtml } from '../../bench/draw/page.ts'
import { linear, logarithmic, short, stretch } from '../../bench/draw/scale.ts'
import { pictureSvg } from '../../bench/draw/svg.ts'

const time: Chart = {
  kind: 'time',
  title: 'Messages a second',
  unit: 'messages/s',
  sliceMs: 10,
  series: [{ name: 'acknowledged', counts: Array.from({ length: 500 }, () => 20) }],
  marks: [
    { at: 1, label: 'same' },
    { at: 1.01, label: 'disjoint' },
  ],
  from: 0,
  to: 5,
}
const charts: readonly Chart[] = [
  time,
  {
    kind: 'stems',
    title: 'Gaps',
    unit: 'ms',
    stems: [{ at: 1, value: 4, label: 'same' }],
    level: { value: 1, label: 'quiet' },
    from: 0,
    to: 5,
  },
  { kind: 'histogram', title: 'How long', series: [{ name: 'acks', buckets: [{ from: 0.5, to: 0.5, count: 7 }] }] },
  {
    kind: 'bars',
    title: 'Speed',
    unit: 'messages/s',
    isLog: false,
    bars: [{ name: 'a & <b>', value: 1_200_000, min: 1e6, max: 13e5, isOurs: true }],
  },
  { kind: 'bars', title: 'Gap', unit: 'ms', isLog: true, bars: [{ name: 'c', value: 0, isOurs: false }] },
]
const picture: Picture = { title: 'A "picture"', subtitle: 'of little', charts }

/** Every element that is opened is closed, in turn. */
function isWellFormed(svg: string): boolean {
  const open: string[] = []
  for (const [, closing, name, , selfClosing] of svg.matchAll(/<(\/?)([a-z]+)((?:[^>"]|"[^"]*")*?)(\/?)>/g)) {
    if (closing === '/') {
      if (open.pop() !== name) return false
    } else if (selfClosing !== '/') open.push(name ?? '')
  }
  return open.length === 0
}

describe('scales', () => {
  it('name round numbers', () => {
    expect(linear(87, 0, 100).ticks).toEqual([0, 20, 40, 60, 80, 100])
    expect(linear(0, 0, 1).ticks.length).toBeGreaterThan(1)
    expect(stretch(1, 3, 0, 100, 4).ticks).toEqual([1, 1.5, 2, 2.5, 3])
    expect(logarithmic(0.3, 250, 0, 1).ticks).toEqual([0.1, 1, 10, 100, 1000])
    expect([1_234_567, 999_900, 45_000, 1_500, 12.34, 0.456, 0.0012, 0].map(short)).toEqual([
      '1.23M',
      '1M',
      '45k',
      '1,500',
      '12.3',
      '0.46',
      '0.0012',
      '0',
    ])
  })
})

describe('pictures', () => {
  it('turn counts of slices into rates', () => {
    expect(ratesOf(time, time.series[0]?.counts ?? [], 100).map(({ rate }) => rate)).toEqual([
      2000, 2000, 2000, 2000, 2000,
    ])
    expect(
      logBins([
        { from: 1, to: 1, count: 2 },
        { from: 1.05, to: 1.05, count: 3 },
        { from: 0.01, to: 0.01, count: 9 },
      ]),
    ).toMatchObject([{ count: 5 }])
  })

  it('are well-formed SVG in light and dark, with words and without addresses', () => {
    const svg = pictureSvg(picture)
    expect(isWellFormed(svg)).toBe(true)
    for (const { title } of charts) expect(svg).toContain(title)
    expect(svg).toContain('a &amp; &lt;b&gt;')
    expect(svg).toContain('1.2M messages/s')
    expect(svg).toContain('prefers-color-scheme: dark')
    expect(svg).not.toMatch(/NaN|Infinity|undefined/)
    expect(svg.replace('http://www.w3.org/2000/svg', '')).not.toMatch(/https?:/)
  })

  it('are pages that bring their own script and load nothing', () => {
    const html = pictureHtml(picture, 'a < b')
    expect(html).toContain('var uPlot=')
    expect(html).toContain('a &lt; b')
    expect(html).not.toMatch(/<(script|link|img)[^>]+(src|href)=/)
    const data = /const data = (.*)\n/.exec(html)?.[1]
    expect(JSON.parse(data ?? '')).toMatchObject([
      { kind: 'time', marks: [{ label: 'same' }, {}] },
      null,
      { kind: 'histogram' },
      null,
      null,
    ])
  })
})
