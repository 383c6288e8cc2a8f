// The other cases of the sweep: see `test/volume.ts`.
import './proposals.test.ts'
