/** What it means to start a server with an empty data directory: the last resort where its storage cannot be used. */
export const emptyDirectory =
  'start this server with an empty directory: it is then another server, and an epoch change brings it back in. Where it is ' +
  'an arbiter (see `epochcast servers`), the cluster has one arbiter less then, for good.'
