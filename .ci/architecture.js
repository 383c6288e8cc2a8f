/**
 * Checks import directions and doors (.dependency-cruiser.mjs).
 * Fails too when a source file on disk was not cruised: a cruiser that finds no files would report no violations.
 */
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { cruise, format } from 'dependency-cruiser'
import extractOptions from 'dependency-cruiser/config-utl/extract-depcruise-options'
import extractTsConfig from 'dependency-cruiser/config-utl/extract-ts-config'

const folders = ['proto', 'client-sdk', 'broker', 'bench', 'sim', 'test'].filter((folder) => existsSync(folder))
const sources = folders.flatMap((folder) =>
  readdirSync(folder, { recursive: true })
    .map((name) => join(folder, name))
    .filter((name) => name.endsWith('.ts')),
)

const options = await extractOptions('./.dependency-cruiser.mjs')
const { output } = await cruise(folders, options, undefined, { tsConfig: extractTsConfig('tsconfig.json') })
const report = await format(output, { outputType: 'err-long' })
console.log(report.output.trim())

const cruised = new Set(output.modules.map((module) => module.source))
const missed = sources.filter((name) => !cruised.has(name))
if (output.summary.totalCruised === 0 || sources.length === 0) {
  console.error('architecture: 0 modules cruised')
  process.exitCode = 1
} else if (missed.length > 0) {
  console.error(`architecture: not cruised: ${missed.join(', ')}`)
  process.exitCode = 1
} else if (output.summary.error > 0) {
  process.exitCode = 1
}
