/**
 * Who may import whom, and the one door of each outside package.
 * @type {import('dependency-cruiser').IConfiguration}
 */

/** Forbids `package` in the product outside the files that match `door`; bench and test may import all. */
const door = (name, packages, path) => ({
  name: `door-${name}`,
  comment: `${name} has one door: ${path}`,
  severity: 'error',
  from: { path: '^(proto|client-sdk|broker)/', pathNot: path },
  to: { path: packages },
})

const npm = (name) => `(^|/)node_modules/${name}/|^${name}(/|$)`

export default {
  forbidden: [
    {
      name: 'proto-imports-nothing-of-ours',
      severity: 'error',
      from: { path: '^proto/' },
      to: { path: '^(client-sdk|broker|bench|sim|test)/' },
    },
    {
      name: 'client-sdk-imports-only-proto',
      severity: 'error',
      from: { path: '^client-sdk/' },
      to: { path: '^(broker|bench|sim|test)/' },
    },
    {
      name: 'broker-is-a-client-in-few-places',
      comment: 'only where a server acts as a client: command line, services, gateway, bridge, development cluster',
      severity: 'error',
      from: { path: '^broker/', pathNot: '^broker/(cli|services|gateway|bridge|dev)/' },
      to: { path: '^client-sdk/' },
    },
    {
      name: 'product-imports-no-bench-or-test',
      comment: 'the command line alone opens the doors of `bench` and `sim`',
      severity: 'error',
      from: { path: '^(proto|client-sdk|broker)/', pathNot: '^broker/cli/commands/(bench|sim)[.]ts$' },
      to: { path: '^(bench|sim|test)/' },
    },
    {
      name: 'sim-and-bench-import-no-test',
      severity: 'error',
      from: { path: '^(bench|sim)/' },
      to: { path: '^test/' },
    },
    {
      name: 'door-child-processes',
      comment: 'bench/child-process.ts starts processes that end with this one',
      severity: 'error',
      from: { path: '^(bench|sim|test)/', pathNot: '^bench/child-process[.]ts$' },
      to: { path: '^(node:)?child_process$' },
    },
    { name: 'no-circular', severity: 'error', from: {}, to: { circular: true } },
    { name: 'no-unresolvable', severity: 'error', from: {}, to: { couldNotResolve: true } },
    {
      name: 'product-imports-no-dev-dependency',
      severity: 'error',
      from: { path: '^(proto|client-sdk|broker|bench|sim)/' },
      to: { dependencyTypes: ['npm-dev'], dependencyTypesNot: ['type-only'], pathNot: 'node_modules/@types/' },
    },
    door('protobufjs', npm('protobufjs'), '^proto/wire/'),
    door('commander', npm('commander'), '^broker/cli/'),
    door('yaml and zod', npm('(yaml|zod)'), '^broker/config/'),
    door('fs-native-extensions', npm('fs-native-extensions'), '^broker/log/'),
    door('node:net', '^(node:)?net$', '^proto/transport/'),
    door('nats', npm('@nats-io'), '^(proto/transport/nats|broker/engines/jetstream|broker/bridge)'),
    door('ioredis', npm('ioredis'), '^broker/engines/redis'),
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default', 'types'] },
  },
}
