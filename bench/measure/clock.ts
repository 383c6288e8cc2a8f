/** One clock for all processes of a machine: microseconds of its monotonic clock. */
const [seconds, nanoseconds] = process.hrtime()
const offsetUs = seconds * 1e6 + nanoseconds / 1e3 - performance.now() * 1e3

export function nowUs(): number {
  return performance.now() * 1e3 + offsetUs
}
