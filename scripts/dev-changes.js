// Whether a source changed.
import { join, relative } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { SetUpFailure } from './set-up.js'

/** Editors and git write many files at once: what comes within this time belongs together. */
const QUIET_MS = 100

/** Watches files and folders under a root, which need not exist yet. Resolves when nothing can be missed any more. */
export async function watchChanges(root, names) {
  const { watch } = await import('chokidar') // may have been installed a moment ago
  const paths = names.map((name) => join(root, name))
  const watcher = watch(paths, { ignoreInitial: true, ignored: (path) => isHidden(relative(root, path)) })
  const changes = new Changes(watcher)
  await new Promise((resolve) => watcher.once('ready', resolve))
  return changes
}

class Changes {
  #watcher
  #lastAt = 0
  #came
  #tell
  #failure

  constructor(watcher) {
    this.#watcher = watcher
    this.forget()
    watcher.on('all', () => this.#happened())
    watcher.on('error', (error) => {
      this.#failure ??= new SetUpFailure(`the sources cannot be watched: ${error.message}`)
      this.#happened()
    })
  }

  /** Only what comes from here on counts. */
  forget() {
    this.#came = new Promise((resolve) => {
      this.#tell = resolve
    })
    if (this.#failure !== undefined) this.#tell()
  }

  /** Resolves when something has changed since the last `forget`, and then nothing for a moment. */
  async settled() {
    await this.#came
    if (this.#failure !== undefined) throw this.#failure
    for (let rest = this.#rest(); rest > 0; rest = this.#rest()) await pause(rest)
  }

  close() {
    return this.#watcher.close()
  }

  #happened() {
    this.#lastAt = performance.now()
    this.#tell()
  }

  #rest() {
    return Math.ceil(this.#lastAt + QUIET_MS - performance.now())
  }
}

/** What editors write beside a source: swap files, locks, backups. */
function isHidden(path) {
  return path.split(/[/\\]/).some((part) => /^\.[^.]|~$/.test(part))
}
