import type { Random } from '#test/support/random.js'
import { type Asker, contentWord, type Item, nameWord, type Past, type ReadModel, wordsIn } from './read-model.js'

const PIP = { 'User-Agent': 'pip/25.0' }
const JSON_ONLY = { Accept: 'application/json' }
const HTML_PAGE = { Accept: 'text/html' }
const SIMPLE_JSON = { Accept: 'application/vnd.pypi.simple.v1+json' }

/** A request, and what the model says of the answer. */
export interface Question {
  readonly what: string
  readonly path: string
  readonly method: 'GET' | 'HEAD'
  readonly headers: Readonly<Record<string, string>>
  /** Of the answer, redirections followed; undefined where only words are of interest. */
  readonly status: number | undefined
  /** Words that must be in the answer, and all that may be. */
  readonly required: ReadonlySet<string>
  readonly allowed: ReadonlySet<string>
}

type Asked = Partial<Pick<Question, 'headers' | 'method' | 'required'>> & { readonly status?: number | undefined }

/** All roads to what is on an index, as one caller may go them at one moment. */
export class Roads {
  readonly questions: Question[] = []
  readonly #model: ReadModel
  readonly #asker: Asker
  readonly #name: string
  readonly #random: Random
  readonly #mayRead: boolean

  constructor(input: { readonly model: ReadModel; readonly asker: Asker; readonly name: string; readonly random: Random }) {
    this.#model = input.model
    this.#asker = input.asker
    this.#name = input.name
    this.#random = input.random
    this.#mayRead = input.model.mayRead(input.asker, input.name)
  }

  /** The index itself, and lists of what is on it. */
  addIndex(): void {
    const { title, items: own } = this.#model.index(this.#name)
    const titles = this.#mayRead ? [title] : []
    const solo = [...this.#model.itemsSeen(this.#asker, this.#name)].filter(isSolo).map(nameWord)
    const ownSolo = this.#mayRead ? [...own.keys()].filter(isSolo).map(nameWord) : []
    const ask = (what: string, path: string, asked: Asked, allowed: readonly string[] = []): void => {
      this.#add(what, path, { required: new Set(allowed), ...asked }, allowed)
    }
    for (const [what, headers] of [['HTML', HTML_PAGE], ['JSON', SIMPLE_JSON], ['pip', PIP]] as const) {
      for (const simple of ['+simple', 'simple']) ask(`list of ${simple} for ${what}`, `/${simple}/`, { headers }, solo)
    }
    ask('list at the index for pip', '/', { headers: PIP }, solo)
    ask('list at the index in JSON', '', { headers: SIMPLE_JSON }, solo)
    ask('list, HEAD', '/+simple/', { method: 'HEAD' })
    ask('index', '', { headers: JSON_ONLY }, [...titles, ...ownSolo])
    ask('index without projects', '?no_projects', { headers: JSON_ONLY }, titles)
    ask('+api', '/+api', { headers: JSON_ONLY })
  }

  /** A project, which may be on none of the indexes. */
  addProject(project: string): void {
    const seen = [...this.#model.itemsSeen(this.#asker, this.#name)].filter((item) => item.project === project)
    const own = seen.filter((item) => this.#model.index(this.#name).items.has(item))
    const status = seen.length === 0 ? 404 : 200
    const [names, all] = [seen.map(nameWord), seen.flatMap(bothWords)]
    const page = (what: string, path: string, headers: Question['headers']): void =>
      this.#add(what, path, { headers, status, required: new Set(names) }, all)
    const spelled = this.#random.pick([project, project, project.replaceAll('-', '_'), project.toUpperCase(), project.replaceAll('-', '.-_')])
    for (const [what, headers] of [['HTML', HTML_PAGE], ['JSON', SIMPLE_JSON], ['pip', PIP]] as const) {
      for (const simple of ['+simple', 'simple']) page(`page of ${simple} for ${what}`, `/${simple}/${spelled}/`, headers)
    }
    page('page at the project for pip', `/${spelled}/`, PIP)
    page('page at the project for pip, no slash', `/${project}`, PIP)
    this.#add('page, HEAD', `/+simple/${project}/`, { status, method: 'HEAD' }, names)
    this.#add('project', `/${spelled}`, { headers: JSON_ONLY, status, required: new Set(all) }, all)
    const ownWords = own.flatMap(bothWords)
    this.#add('project without bases', `/${project}?ignore_bases`, { headers: JSON_ONLY, status, required: new Set(ownWords) }, ownWords)
    for (const version of ['latest', 'stable']) this.#add(`${version} docs`, `/${spelled}/${version}/+doc/index.html`, { status: undefined }, own.map(contentWord))
  }

  /** A release, with its files under the address of this index, which may have none of them. */
  addItem(item: Item): void {
    const words = this.#model.itemsSeen(this.#asker, this.#name).has(item) ? bothWords(item) : []
    const status = words.length === 0 ? 404 : 200
    this.#add('version', `/${item.project}/${item.version}`, { headers: JSON_ONLY, status, required: new Set(words) }, words)

    const { items } = this.#model.index(this.#name)
    const links = items.get(item)
    const own = this.#mayRead && links !== undefined ? bothWords(item) : []
    const docsStatus = links?.some(({ rel }) => rel === 'doczip') === true ? 200 : 404
    for (const page of ['index.html', '', 'sub/', 'sub']) {
      const required = new Set(docsStatus === 200 ? own.filter((word) => word === contentWord(item)) : [])
      for (const place of ['+doc', '+d']) this.#add(`${page} of ${place}`, `/${item.project}/${item.version}/${place}/${page}`, { status: docsStatus, required }, own)
    }
    const page = `/${item.project}/${item.version}/+doc/index.html`
    this.#add('docs, HEAD', page, { method: 'HEAD', status: docsStatus }, own)
    this.#add('docs, if they changed', page, { headers: { 'If-None-Match': '*' }, status: docsStatus === 200 ? 304 : 404 }, own)
    this.#add('page of docs that is not there', page.replace('index', 'none'), { status: 404 }, own)
    for (const { rel, path } of links ?? this.#elsewhere(item)) this.#addFile(item, { rel, path, words: own, exists: links !== undefined })
  }

  /** The view of an earlier moment, with the rights of today. */
  addPast(past: Past, project: string): void {
    const at = past.indexes.get(this.#name)
    const seen = [...this.#model.itemsSeen(this.#asker, this.#name, past)]
    const names = seen.filter((item) => item.project === project).map(nameWord)
    if (at === undefined) {
      this.#add('page of an index that was not there', `/+at/${past.serial}/+simple/${project}/`, { status: undefined }, [])
      return
    }
    const status = names.length === 0 ? 404 : 200
    const view = `/+at/${past.serial}`
    for (const headers of [HTML_PAGE, SIMPLE_JSON]) {
      this.#add('page as it was', `${view}/+simple/${project}/`, { headers, status, required: new Set(names) }, names)
      const solo = seen.filter(isSolo).map(nameWord)
      this.#add('list as it was', `${view}/simple/`, { headers, required: new Set(solo) }, solo)
    }
    const items = this.#mayRead ? [...at.items] : []
    for (const [item, links] of items.length > 0 ? [this.#random.pick(items)] : []) {
      const [link] = links
      if (link !== undefined) this.#add('file as it was', `${view}/${link.path}`, { required: new Set([contentWord(item)]) }, bothWords(item))
    }
    const [hidden] = [...this.#model.index(this.#name).items]
    if (hidden !== undefined && !this.#mayRead) this.#add('file as it was', `${view}/${hidden[1][0]!.path}`, { status: undefined }, [])
  }

  #addFile(item: Item, { rel, path, words, exists }: { readonly rel: string; readonly path: string; readonly words: readonly string[]; readonly exists: boolean }): void {
    const status = exists ? 200 : 404
    const required = new Set(words.filter((word) => word === contentWord(item)))
    const add = (what: string, at: string, asked: Asked): void => this.#add(`${what} (${rel})`, `/${at}`, { status, ...asked }, words)
    add('file', path, { required })
    add('file again', path, { required })
    add('file, HEAD', path, { method: 'HEAD' })
    add('piece of a file', path, { headers: { Range: 'bytes=0-' }, required, status: exists ? 206 : 404 })
    add('file, if it changed', path, { headers: { 'If-None-Match': '*' }, status: exists ? 304 : 404 })
    this.#add('file that is not there', `/${path}x`, { status: 404 }, [])
    add('JSON of a file', path, { headers: JSON_ONLY })
    if (rel === 'releasefile') add('metadata', `${path}.metadata`, { required })
  }

  /** Where the item is on an index that has it. */
  #elsewhere(item: Item): readonly { readonly rel: string; readonly path: string }[] {
    for (const { items } of this.#model.indexes.values()) if (items.has(item)) return items.get(item)!
    return []
  }

  #add(what: string, below: string, asked: Asked, allowed: readonly string[]): void {
    const { method = 'GET', headers = {}, required = new Set() } = asked
    const status = !('status' in asked) ? 200 : asked.status
    const spelled = respelled(`/${this.#name}${below}`, this.#random)
    const refused = this.#asker.user === '' ? 401 : 403
    const isExact = spelled.isSame && status !== undefined
    this.questions.push({
      what,
      path: spelled.path,
      method,
      headers,
      status: isExact ? (this.#mayRead ? status : refused) : undefined,
      required: isExact && this.#mayRead && method === 'GET' ? required : new Set(),
      allowed: new Set(allowed),
    })
  }
}

/** What an answer shows that it must not, or lacks; undefined when it is right. */
export function faultOf(question: Question, answer: { readonly status: number; readonly text: string }): string | undefined {
  const found = wordsIn(answer.text)
  const asked = wordsIn(decodeURIComponent(question.path)) // a refusal may repeat what was asked for, content never is in it
  const leaked = [...found].filter((word) => !question.allowed.has(word) && !asked.has(word))
  if (leaked.length > 0) return `shows ${leaked.join(' ')}`
  if (question.status === undefined) return undefined
  if (answer.status !== question.status) return `answers ${answer.status} instead of ${question.status}`
  const missing = [...question.required].filter((word) => !found.has(word))
  return missing.length > 0 ? `lacks ${missing.join(' ')}` : undefined
}

/** Another way to write an address, which leads to the same or, doubled or in other letters, to nothing. */
function respelled(path: string, random: Random): { readonly path: string; readonly isSame: boolean } {
  const [plain = '', query] = path.split('?')
  const parts = plain.split('/')
  const suffix = query === undefined ? '' : `?${query}`
  const chosen = random.below(10)
  if (chosen === 0) return { path: parts.with(1, parts[1]!.toUpperCase()).join('/') + suffix, isSame: false }
  if (chosen === 1) return { path: parts.with(2, parts[2]!.toUpperCase()).join('/') + suffix, isSame: false }
  if (chosen === 2) return { path: parts.toSpliced(1 + random.below(parts.length - 1), 0, '').join('/') + suffix, isSame: false }
  if (chosen === 3) return { path: parts.toSpliced(2, 0, random.pick(['.', '..', '%2e', '%2E%2e'])).join('/') + suffix, isSame: false }
  if (chosen <= 6) return { path: parts.map((part) => part.replace('+', random.pick(['%2B', '%2b', '+']))).map((part) => encodedAt(part, random)).join('/') + suffix, isSame: true }
  return { path, isSame: true }
}

/** With one letter or digit of a name in percent-encoding; the words of routes are not names. */
function encodedAt(part: string, random: Random): string {
  if (part === 'simple' || !/^[a-z0-9.-]+$/i.test(part)) return part
  const at = random.below(part.length)
  return `${part.slice(0, at)}%${part.charCodeAt(at).toString(16)}${part.slice(at + 1)}`
}

function isSolo(item: Item): boolean {
  return item.project.startsWith('solo-')
}

function bothWords(item: Item): string[] {
  return [nameWord(item), contentWord(item)]
}
