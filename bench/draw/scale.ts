/** Where values lie on an axis, which of them are named, and how. */
export interface Scale {
  at(value: number): number
  readonly ticks: readonly number[]
}

/** From 0 to the next round number. */
export function linear(max: number, begin: number, end: number, ticks = 5): Scale {
  const step = roundStep(max <= 0 ? 1 : max / ticks)
  const top = Math.max(step, Math.ceil(max / step - 1e-9) * step)
  const values: number[] = []
  for (let value = 0; value <= top + step / 2; value += step) values.push(Number(value.toPrecision(12)))
  return { at: (value) => begin + ((end - begin) * value) / top, ticks: values }
}

/** A stretch of time that does not begin at 0. */
export function stretch(from: number, to: number, begin: number, end: number, ticks = 10): Scale {
  const step = roundStep(Math.max(1e-9, to - from) / ticks)
  const values: number[] = []
  for (let value = Math.ceil(from / step) * step; value <= to + 1e-9; value += step) {
    values.push(Number(value.toPrecision(12)))
  }
  return { at: (value) => begin + ((end - begin) * (value - from)) / Math.max(1e-9, to - from), ticks: values }
}

/** Whole powers of ten around the values. */
export function logarithmic(min: number, max: number, begin: number, end: number): Scale {
  const low = Math.floor(Math.log10(Math.max(1e-6, min)) + 1e-9)
  const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(1e-6, max)) - 1e-9))
  const values: number[] = []
  for (let power = low; power <= high; power++) values.push(10 ** power)
  const at = (value: number) => {
    const place = (Math.log10(Math.max(10 ** low, value)) - low) / (high - low)
    return begin + (end - begin) * Math.min(1, place)
  }
  return { at, ticks: values }
}

function roundStep(step: number): number {
  const power = 10 ** Math.floor(Math.log10(step))
  const factor = [1, 2, 2.5, 5, 10].find((one) => one * power >= step * (1 - 1e-9)) ?? 10
  return factor * power
}

/** Short: 1.2M, 45k, 300, 4.2, 0.35. */
export function short(value: number): string {
  const size = Math.abs(value)
  if (size >= 999_500) return `${digits(value / 1e6)}M`
  if (size >= 9_995) return `${digits(value / 1e3)}k`
  if (size >= 100) return Math.round(value).toLocaleString('en-US')
  return digits(value)
}

function digits(value: number): string {
  const size = Math.abs(value)
  if (size > 0 && size < 0.01) return String(Number(value.toPrecision(2)))
  if (size >= 100) return Math.round(value).toLocaleString('en-US')
  return String(Number(value.toFixed(size >= 10 ? 1 : 2)))
}
