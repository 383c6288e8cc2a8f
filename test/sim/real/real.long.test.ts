// More faults of the same kind: see `test/volume.ts`.
import './real.test.ts'
