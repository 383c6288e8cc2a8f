// The other cases of the sweep: see `test/volume.ts`.
import './group-machine.test.ts'
