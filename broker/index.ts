/** The servers of epochcast: to embed one, or to run a whole cluster in a test. */
export { type BootstrapOptions, bootstrap } from './bootstrap.ts'
export { Cluster, type ClusterConnectOptions, type ClusterOptions, createCluster } from './dev/cluster.ts'
export { MemoryRegisters } from './engines/memory.ts'
export type { EngineConfig } from './engines/open.ts'
export type { TopicDefaults } from './finder.ts'
export { type LaunchedServer, type LaunchOptions, launch } from './launch.ts'
export { Server, type ServerOptions } from './server.ts'
