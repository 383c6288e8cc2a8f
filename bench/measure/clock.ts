/** One clock for all processes of a machine: microseconds of its monotonic clock. */
const samples = 200
const offsetUs = offset()

export function nowUs(): number {
  return performance.now() * 1e3 + offsetUs
}

/**
 * From this process's own beginning to that of the machine. Somebody else may have the core between the two readings: the pair
 * that was read fastest counts.
 */
function offset(): number {
  let best = { widthUs: Number.POSITIVE_INFINITY, offsetUs: 0 }
  for (let sample = 0; sample < samples; sample++) {
    const before = performance.now() * 1e3
    const machineUs = Number(process.hrtime.bigint()) / 1e3
    const after = performance.now() * 1e3
    if (after - before < best.widthUs) best = { widthUs: after - before, offsetUs: machineUs - (before + after) / 2 }
  }
  return best.offsetUs
}
