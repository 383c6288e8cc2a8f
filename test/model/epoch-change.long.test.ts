// The other cases of the sweep: see `test/volume.ts`.
import './epoch-change.test.ts'
