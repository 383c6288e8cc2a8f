import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Processes, not threads: tests send signals, take file locks and start servers.
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 20_000,
    hookTimeout: 20_000,
    coverage: {
      provider: 'v8',
      include: ['proto/**/*.ts', 'client-sdk/**/*.ts', 'broker/**/*.ts'],
      reporter: ['text-summary', 'html'],
    },
  },
})
