/** `npm run schema`: writes what is printed from the message table. */
import { writeFileSync } from 'node:fs'
import { printMessages } from './describe.ts'
import { printSchema } from './schema.ts'

writeFileSync(new URL('schema.proto', import.meta.url), printSchema())
writeFileSync(new URL('../../docs/messages.md', import.meta.url), printMessages())
