import { rmSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Context } from './base-command.js'

/** A temporary folder, gone with whatever is in it when the work is done. */
export class WorkFolder implements AsyncDisposable {
  readonly path: string

  /** A second Ctrl-C leaves no time for more than this. */
  readonly #removeAtOnce = (): void => rmSync(this.path, { recursive: true, force: true, maxRetries: 3, retryDelay: 50 })

  private constructor(path: string) {
    this.path = path
    process.on('exit', this.#removeAtOnce)
  }

  /** Announced by a line. `kind` is part of its name. */
  static async open({ env, terminal }: Context, kind: string): Promise<WorkFolder> {
    const path = await mkdtemp(join(env['TMPDIR'] ?? tmpdir(), `${kind}-`))
    terminal.info(`using workdir ${path}`)
    return new WorkFolder(path)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.path, { recursive: true, force: true, maxRetries: 3, retryDelay: 200 })
    process.off('exit', this.#removeAtOnce)
  }
}
