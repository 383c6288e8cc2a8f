// The other cases of the sweep: see `test/volume.ts`.
import './one-history.test.ts'
