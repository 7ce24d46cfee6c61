// The server of `npm run dev`, a process of its own: it ends gracefully when the one that started it lets go of the channel
// between them, which the system does for one that was killed.
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { ROOT } from './set-up.js'

const stop = () => process.kill(process.pid, 'SIGTERM')
if (process.connected) process.once('disconnect', stop)
else stop() // let go of while this was loading
process.channel?.unref() // listening to it must not keep alive a server that has ended
const { main } = await import(pathToFileURL(join(ROOT, 'dist/server/bin/serve.js')).href)
process.exitCode = await main(process.argv.slice(2))
