// Goal and method: see conformance.ts, on three arbiters.
import { ArbiterGroup } from './arbiter-group.ts'
import { describeEngine } from './conformance.ts'

describeEngine('built in', async () => new ArbiterGroup())
