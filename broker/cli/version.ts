import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Version of the package that this file is part of, as source or built. */
export function packageVersion(): string {
  for (let at = dirname(fileURLToPath(import.meta.url)); ; at = dirname(at)) {
    try {
      const { name, version } = JSON.parse(readFileSync(join(at, 'package.json'), 'utf8')) as Record<string, string>
      if (name === 'epochcast' && version !== undefined) return version
    } catch {
      // Not here: further up.
    }
    if (at === dirname(at)) return 'unknown'
  }
}
