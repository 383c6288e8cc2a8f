// The other cases of the sweep: see `test/volume.ts`.
import './nats-faults.test.ts'
