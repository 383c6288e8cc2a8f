// The other cases of the sweep: see `test/volume.ts`.
import './orders.test.ts'
