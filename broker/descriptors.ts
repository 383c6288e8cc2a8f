/** How the file descriptors of a process are shared: its servers' logs first, what is left is for connections. */
import { descriptorsHeld } from './log/directory.ts'

/** Standard streams, the event loop's own, decision engines, and what is opened for a moment. */
const othersHeld = 64
/** A server takes so many connections whatever the limit is. */
const connectionsLeast = 16

/**
 * Connections that a server may take.
 * @param servers servers in this process
 */
export function connectionsMax(servers = 1): number {
  const share = Math.floor((openFilesLimit() - othersHeld) / servers) - descriptorsHeld
  return Math.max(connectionsLeast, share)
}

interface Report {
  readonly userLimits?: { readonly open_files?: { readonly soft?: number | string } }
}

/** Files that this process may have open, connections included; without an end where the system does not say. */
function openFilesLimit(): number {
  const { report } = process
  // Else it looks up the names of all peers.
  Object.assign(report, { excludeNetwork: true })
  const soft = Number((report.getReport() as Report).userLimits?.open_files?.soft)
  return Number.isNaN(soft) ? Number.POSITIVE_INFINITY : soft
}
