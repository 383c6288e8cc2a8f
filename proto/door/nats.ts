/** How NATS is reached, as an option. */
import type { NatsOptions, NatsTls } from '../transport/nats-options.ts'
import { checkNatsOptions } from '../transport/nats-options.ts'
import { type Check, listOf, text } from './checks.ts'
import { type Checks, optionsOf, requiring } from './options.ts'

const name = text(1_000)
const tls = optionsOf<NatsTls>('nats.tls', { ca: name, cert: name, key: name })
const credentials: Checks<Omit<NatsOptions, 'servers'>> = {
  ...{ user: name, password: text(1_000, 0), token: name, creds: name, nkey: name, prefix: name },
  tls: (value) => tls(value),
}
const withoutServers = optionsOf<Omit<NatsOptions, 'servers'>>('nats', credentials)

/** Every option; an engine on NATS has some of its own beside them. */
export const natsChecks: Checks<NatsOptions> = { ...credentials, servers: listOf(name) }
const whole = requiring<NatsOptions, 'servers'>('nats', natsChecks, ['servers'])

/** What a `nats://` url does not say. */
export const natsBesideUrl: Check<Omit<NatsOptions, 'servers'>> = (value) => withoutServers(value)

/** Everything: where no url says the rest. */
export const natsOptions: Check<NatsOptions> = (value) => checkNatsOptions(whole(value))
