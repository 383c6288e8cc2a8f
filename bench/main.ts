/** `npm run bench -- <command>` */
import { runBench } from './command-line.ts'

await runBench(process.argv.slice(2))
// What a failed run left open must not keep it.
process.exit()
