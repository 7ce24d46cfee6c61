// The server of `npm run dev` as its parent sees it.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { ROOT, say } from './set-up.js'

/** A stopping server gives running requests 30 seconds; what is left after that hangs. */
const STOP_TIMEOUT_MS = 40_000

/** At most one server at a time. */
export class DevServer {
  #args
  #child
  /** Which build it runs; undefined while none does. */
  build

  constructor(args) {
    this.#args = args
  }

  /**
   * The process has a group of its own, so that Ctrl-C reaches the caller alone, who decides when it ends. Resolves to
   * its exit code when it ends unasked, and else never.
   */
  start(build) {
    const child = spawn(process.execPath, [join(ROOT, 'scripts/dev-child.js'), ...this.#args], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      detached: process.platform !== 'win32', // where it would open a window
    })
    this.#child = child
    this.build = build
    return new Promise((resolve) => {
      child.once('exit', (code) => {
        if (this.#child !== child) return
        this.#forget()
        resolve(code ?? 1)
      })
    })
  }

  /** Resolves when it is gone, its port and folder free, after it has finished the requests it was working on. */
  async stop() {
    const child = this.#child
    if (child === undefined) return
    this.#forget()
    const exited = once(child, 'exit')
    const timer = setTimeout(() => {
      say('the server does not end and is killed')
      child.kill('SIGKILL')
    }, STOP_TIMEOUT_MS)
    if (child.connected) child.disconnect() // what dev-child.js waits for
    await exited
    clearTimeout(timer)
  }

  #forget() {
    this.#child = undefined
    this.build = undefined
  }
}
