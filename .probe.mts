import { readFileSync } from 'node:fs'
import { runScenario } from './test/harness/scenario.ts'
import { formatScenario, parseScenario } from './test/harness/scenario-file.ts'
const happened = formatScenario(runScenario(parseScenario(readFileSync(process.argv[2], 'utf8'))).file)
console.log(happened)
