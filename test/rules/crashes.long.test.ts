// The other cases of the sweep: see `test/volume.ts`.
import './crashes.test.ts'
