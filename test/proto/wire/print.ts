/** `npm run schema`: writes what is printed from the message table. */
import { writeFileSync } from 'node:fs'
import { printMessages } from '../../../proto/wire/describe.ts'
import { printSchema } from '../../../proto/wire/schema.ts'

writeFileSync(new URL('../../../proto/wire/schema.proto', import.meta.url), printSchema())
writeFileSync(new URL('../../../docs/messages.md', import.meta.url), printMessages())
