import { Command } from 'commander'
import { defaultUrl } from '../../client-sdk/index.ts'
import { toMilliseconds } from './arguments.ts'
import { addAdopt } from './commands/adopt.ts'
import { addApply } from './commands/apply.ts'
import { addBench } from './commands/bench.ts'
import { addBootstrap } from './commands/bootstrap.ts'
import { addBridge } from './commands/bridge.ts'
import { addDev } from './commands/dev.ts'
import { addDoctor } from './commands/doctor.ts'
import { addEpochs } from './commands/epochs.ts'
import { addExplain } from './commands/explain.ts'
import { addGet } from './commands/get.ts'
import { addOutcome } from './commands/outcome.ts'
import { addPub } from './commands/pub.ts'
import { addReconfig } from './commands/reconfig.ts'
import { addRequest } from './commands/request.ts'
import { addServe } from './commands/serve.ts'
import { addServers } from './commands/servers.ts'
import { addSim } from './commands/sim.ts'
import { addStatus } from './commands/status.ts'
import { addSub } from './commands/sub.ts'
import { addTopics } from './commands/topics.ts'
import { addVerify } from './commands/verify.ts'

const examples = `
Begin here:
  epochcast dev                                  a durable cluster on this machine
  epochcast pub hello "first message"            in another terminal
  epochcast sub hello --from start
  epochcast reconfig hello --mode fault-recovery --members a,b     shows its plan and asks; --yes in a script
  epochcast status hello

Output is a table on a terminal and JSON lines when piped; pub, sub and get print plain text
unless --json is given. What is not a record (progress, cursors, errors) goes to stderr.

Exit codes: 0 done; 1 failed; 2 bad arguments or configuration; 3 unreachable, out of time, or
servers that it takes do not answer now; 4 superseded; 130 interrupted; 141 nobody read the output.`

/** The whole command line; parsing it runs the command. */
export function createProgram(version: string): Command {
  const program = new Command('epochcast')
    .description('Durable publish/subscribe whose members change by epochs, without losing an acknowledged message.')
    .version(version, '-V, --version', 'print the version')
    .option('--url <url>', `servers to connect to (default: EPOCHCAST_URL, else ${defaultUrl})`)
    .option('--timeout <time>', 'give up when it is not done after this time: 500 (ms), 10s, 2m', toMilliseconds)
    .option('--json', 'JSON lines instead of text')
    .addHelpText('after', examples)
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({ outputError: () => {} })
    .exitOverride()
  const families = [
    addDev,
    addServe,
    addBootstrap,
    addAdopt,
    addPub,
    addSub,
    addRequest,
    addGet,
    addOutcome,
    addExplain,
    addVerify,
    addTopics,
    addServers,
    addReconfig,
    addEpochs,
    addStatus,
    addDoctor,
    addApply,
    addBridge,
    addBench,
    addSim,
  ]
  for (const add of families) add(program)
  return program
}
