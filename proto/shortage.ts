/**
 * A resource that a server is short of while it goes on.
 * - `space`: its disk takes no batch; the rest of the space is kept for protocol records.
 * - `descriptors`: it takes no new connection; the rest of its open files is kept for its log and for other servers.
 */
export const shortages = ['space', 'descriptors'] as const
export type Shortage = (typeof shortages)[number]
