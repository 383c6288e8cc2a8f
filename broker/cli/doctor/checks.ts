/** The checks of `epochcast doctor`, in the order in which their lines are shown. */
import { arbiters } from './arbiters.ts'
import type { Check } from './check.ts'
import { deciders } from './deciders.ts'
import { engines } from './engines.ts'
import { health } from './health.ts'
import { servers } from './servers.ts'
import { shortages } from './shortages.ts'
import { syncs } from './syncs.ts'
import { twins } from './twins.ts'

export const checks: readonly Check[] = [servers, twins, shortages, arbiters, engines, health, syncs, deciders]
