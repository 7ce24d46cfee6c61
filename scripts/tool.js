// `npm run log-dump` and its like: sets up, then runs `main` of the compiled script of that name.
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { asCommand, ROOT, setUp } from './set-up.js'

await asCommand(async () => {
  const [name, ...args] = process.argv.slice(2)
  await setUp()
  const { main } = await import(pathToFileURL(join(ROOT, `dist/scripts/${name}.js`)).href)
  return main(args)
})
