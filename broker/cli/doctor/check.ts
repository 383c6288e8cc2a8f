/** What a check of `epochcast doctor` looks at, and what it says. */
import type { ArbiterInfo, Client, ServerEngines, ServerInfo } from '../../../client-sdk/index.ts'
import type { Finding } from '../../../proto/wire/messages.ts'
import type { Config } from '../../config/config.ts'
import type { Context } from '../context.ts'
import type { JudgedTopic } from '../topic-look.ts'

/** One finding, with its subject. */
export interface Line extends Finding {
  /** `server a`, `engine main`, `topic orders.eu` */
  readonly about: string
}

/** The cluster as all checks see it: asked for once. */
export interface ClusterView {
  readonly context: Context
  readonly client: Client
  /** The configuration file, where one was named. */
  readonly config: Config | null
  readonly servers: readonly ServerInfo[]
  readonly arbiters: readonly ArbiterInfo[]
  readonly engines: readonly ServerEngines[]
}

/** One topic as all checks see it: its newest configuration, the state of its members, and what that means. */
export interface TopicView extends JudgedTopic {
  readonly about: string
}

/** One kind of trouble. The lines of the cluster come first, then those of each topic. */
export interface Check {
  cluster?(view: ClusterView): readonly Line[] | Promise<readonly Line[]>
  topic?(topic: TopicView, view: ClusterView): readonly Line[] | Promise<readonly Line[]>
}
