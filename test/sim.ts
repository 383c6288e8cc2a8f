/** `npm run sim`: the simulator of the command line; with `--mutants` or `--explore` what exists beside the source alone. */
const words = process.argv.slice(2)
if (words.includes('--mutants')) await import('./mutants/main.ts')
else if (words.includes('--explore')) await import('./explore/main.ts')
else {
  process.argv.splice(2, 0, 'sim')
  await import('../broker/cli/main.ts')
}

export {}
