// `npm start`: sets up, then serves in this very process, so that Ctrl-C and SIGTERM reach the server.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { stopWithParent } from './parent.js'
import { asCommand, ROOT, setUp, SetUpFailure } from './set-up.js'

await asCommand(async () => {
  stopWithParent('start')
  await setUp()
  const entry = join(ROOT, 'dist/server/bin/serve.js')
  if (!existsSync(entry)) throw new SetUpFailure('there is no server/bin/serve.ts to start')
  const { main } = await import(pathToFileURL(entry).href)
  return main(process.argv.slice(2))
})
