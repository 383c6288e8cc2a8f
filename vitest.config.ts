import { defineConfig } from 'vitest/config'

/** What takes long by its nature, and most cases of sweeps: `npm run test:long`. */
const long = 'test/**/*.long.test.ts'

export default defineConfig({
  test: {
    // Processes, not threads: tests send signals, take file locks and start servers.
    pool: 'forks',
    // One more than the smallest machine has cores: many tests wait for processes of their own.
    maxWorkers: 3,
    // Limits of time end what hangs; on a busy machine everything else takes as long as it takes.
    testTimeout: 240_000,
    hookTimeout: 240_000,
    teardownTimeout: 60_000,
    expect: { poll: { timeout: 200_000, interval: 10 } },
    projects: [
      {
        extends: true,
        test: { name: 'short', provide: { volume: 'short' }, include: ['test/**/*.test.ts'], exclude: [long] },
      },
      { extends: true, test: { name: 'long', provide: { volume: 'long' }, include: [long], testTimeout: 600_000 } },
    ],
    coverage: {
      provider: 'v8',
      include: ['proto/**/*.ts', 'client-sdk/**/*.ts', 'broker/**/*.ts'],
      reporter: ['text-summary', 'html'],
    },
  },
})
