import { createHash } from 'node:crypto'
import { wheel } from '#test/support/archives.js'
import type { Random } from '#test/support/random.js'
import { uploadForm } from '#test/support/upload-form.js'
import { EMPTY, filesOf, type IndexState, withFile, withoutFile, withoutProject, withoutVersion, withVersion } from './model.js'

const PROJECTS = ['alpha', 'beta', 'gamma']
const VERSIONS = ['1.0', '1.1', '2.0rc1']

interface Operation {
  readonly path: string
  readonly init: RequestInit
  readonly after: IndexState
}

/**
 * Works on an index of its own and remembers what was acknowledged. The
 * operation under way when the server dies may have happened or not; it is
 * never anything in between.
 */
export class CrashClient {
  readonly name: string
  readonly #random: Random
  readonly #auth: string
  #acknowledged: IndexState = EMPTY
  #underWay: Operation | undefined
  #written = 0

  constructor(name: string, token: string, random: Random) {
    this.name = name
    this.#random = random
    this.#auth = `Basic ${Buffer.from(`${name}:${token}`).toString('base64')}`
  }

  /** Changes things until the server is gone; `onDone` hears of every acknowledged change. */
  async work(url: string, onDone: () => void): Promise<void> {
    for (;;) {
      const operation = this.#next()
      this.#underWay = operation
      let reply: Response
      try {
        reply = await this.#fetch(url, operation.path, operation.init)
        await reply.arrayBuffer()
      } catch {
        return // killed in the middle of it
      }
      if (!reply.ok) throw new Error(`${operation.init.method} ${operation.path}: ${reply.status} ${reply.statusText}`)
      this.#acknowledged = operation.after
      this.#underWay = undefined
      onDone()
    }
  }

  /** Compares what the server shows with what may be there, and goes on from that. Throws when it is anything else. */
  async check(url: string): Promise<void> {
    const found = await this.#observe(url)
    const allowed = [this.#acknowledged, ...(this.#underWay === undefined ? [] : [this.#underWay.after])]
    const match = allowed.find((state) => sorted(state) === sorted(found))
    if (match === undefined) {
      throw new Error(`${this.name} finds ${sorted(found)}\ninstead of one of ${allowed.map(sorted).join('\nor ')}`)
    }
    this.#acknowledged = match
    this.#underWay = undefined
    await this.#checkPages(url)
  }

  #next(): Operation {
    const state = this.#acknowledged
    const files = filesOf(state)
    const choice = this.#random.below(10)
    if (files.length < 3 || choice < 5) return this.#upload(state)
    const { project, version, file, sha256 } = this.#random.pick(files)
    const at = `/${this.name}/dev`
    switch (choice) {
      case 5:
        return {
          path: `${at}/+f/${sha256.slice(0, 3)}/${sha256.slice(3, 16)}/${file}`,
          init: { method: 'DELETE' },
          after: withoutFile(state, project, version, file),
        }
      case 6:
        return { path: `${at}/${project}/${version}`, init: { method: 'DELETE' }, after: withoutVersion(state, project, version) }
      case 7:
        return { path: `${at}/${project}`, init: { method: 'DELETE' }, after: withoutProject(state, project) }
      case 8: {
        const before = state.projects[project]?.[version]
        const yanked = before?.yanked !== true
        return {
          path: `${at}/${project}/${version}`,
          init: { method: 'PATCH', body: JSON.stringify({ yanked }) },
          after: before === undefined ? state : withVersion(state, project, version, { ...before, yanked }),
        }
      }
      default: {
        const title = `title ${(this.#written += 1)}`
        return { path: at, init: { method: 'PATCH', body: JSON.stringify([`title=${title}`]) }, after: { ...state, title } }
      }
    }
  }

  /** A new file, or other bytes under the name of one that is there. */
  #upload(state: IndexState): Operation {
    const project = this.#random.pick(PROJECTS)
    const version = this.#random.pick(VERSIONS)
    const tag = this.#random.pick(['py3-none-any', 'py2-none-any'])
    const file = wheel(project, version, { tag, extra: { 'written.txt': Buffer.from(`${this.name} ${(this.#written += 1)}`) } })
    const sha256 = createHash('sha256').update(file.bytes).digest('hex')
    return {
      path: `/${this.name}/dev/`,
      init: { method: 'POST', body: uploadForm(file) },
      after: withFile(state, project, version, file.filename, sha256),
    }
  }

  async #observe(url: string): Promise<IndexState> {
    const index = await this.#json<{ title: string; projects: string[] }>(url, `/${this.name}/dev`)
    const projects: Record<string, Record<string, { yanked: boolean; files: Record<string, string> }>> = {}
    for (const project of index.projects) {
      const versions = await this.#json<Record<string, { yanked?: unknown; '+links'?: RecordedLink[] }>>(url, `/${this.name}/dev/${project}`)
      const shown: Record<string, { yanked: boolean; files: Record<string, string> }> = {}
      for (const [version, { yanked, '+links': links = [] }] of Object.entries(versions)) {
        const files = Object.fromEntries(links.map(({ href, hashes }) => [href.slice(href.lastIndexOf('/') + 1), hashes.sha256]))
        shown[version] = { yanked: yanked !== undefined, files }
      }
      projects[project] = shown
    }
    return { title: index.title, projects }
  }

  /** The page of each project lists its files, and one of all files has the bytes it should have. */
  async #checkPages(url: string): Promise<void> {
    const files = filesOf(this.#acknowledged)
    for (const project of Object.keys(this.#acknowledged.projects)) {
      const page = await (await this.#fetch(url, `/${this.name}/dev/+simple/${project}/`)).text()
      const shown = [...page.matchAll(/#sha256=([0-9a-f]{64})"/g)].map(([, sha256]) => sha256)
      const wanted = files.filter((file) => file.project === project).map(({ sha256 }) => sha256)
      if (shown.sort().join() !== wanted.sort().join()) throw new Error(`the page of ${this.name}/dev/${project} is ${page}`)
    }
    if (files.length === 0) return
    const { file, sha256 } = this.#random.pick(files)
    const reply = await this.#fetch(url, `/${this.name}/dev/+f/${sha256.slice(0, 3)}/${sha256.slice(3, 16)}/${file}`)
    const digest = createHash('sha256').update(Buffer.from(await reply.arrayBuffer())).digest('hex')
    if (digest !== sha256) throw new Error(`${file} of ${this.name} has digest ${digest}, status ${reply.status}`)
  }

  async #json<T>(url: string, path: string): Promise<T> {
    const reply = await this.#fetch(url, path, { headers: { Accept: 'application/json' } })
    const { result } = (await reply.json()) as { result: T }
    return result
  }

  #fetch(url: string, path: string, init: RequestInit = {}): Promise<Response> {
    return fetch(url + path, { ...init, headers: { Authorization: this.#auth, ...init.headers } })
  }
}

interface RecordedLink {
  readonly href: string
  readonly hashes: { readonly sha256: string }
}

/** As text, with keys in order. */
function sorted(value: unknown): string {
  return JSON.stringify(value, (_key, item: unknown) =>
    typeof item === 'object' && item !== null && !Array.isArray(item)
      ? Object.fromEntries(Object.entries(item).sort(([a], [b]) => (a < b ? -1 : 1)))
      : item,
  )
}
