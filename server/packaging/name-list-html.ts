import { Parser } from 'htmlparser2'
import { checkRepositoryVersion } from './simple-html-parser.js'
import { PAGE_LIMITS } from './simple-json-parser.js'
import { normalizeProjectName, projectNameFault } from './project-name.js'

/**
 * Reads the HTML form of a project list (PEP 503) piece by piece. Links that
 * lead right below the list name projects; others are for people.
 */
export class NameListHtml {
  readonly #list: URL
  readonly #parser: Parser
  #names: string[] = []

  /** `list`: the URL of the page. */
  constructor(list: URL) {
    this.#list = new URL('.', list)
    this.#parser = new Parser({
      onopentag: (tag, attributes) => {
        if (tag === 'meta' && attributes['name'] === 'pypi:repository-version') checkRepositoryVersion(attributes['content'] ?? '')
        const name = tag === 'a' ? this.#nameIn(attributes['href']?.trim() ?? '') : undefined
        if (name !== undefined && projectNameFault(name) === undefined) this.#names.push(normalizeProjectName(name))
      },
    })
  }

  /** Names in normal form of what was read so far and not told before. */
  write(text: string): string[] {
    this.#parser.write(text)
    return this.#taken()
  }

  end(): string[] {
    this.#parser.end()
    return this.#taken()
  }

  #taken(): string[] {
    const names = this.#names
    this.#names = []
    return names
  }

  #nameIn(href: string): string | undefined {
    const plain = /^(?:\.\/)?([A-Za-z0-9][\w.-]*)\/?$/.exec(href)
    if (plain !== null) return plain[1]
    if (href === '' || href.length > PAGE_LIMITS.url || !URL.canParse(href, this.#list.href)) return undefined
    const { origin, pathname } = new URL(href, this.#list)
    if (origin !== this.#list.origin || !pathname.startsWith(this.#list.pathname)) return undefined
    return /^[A-Za-z0-9][\w.-]*(?=\/?$)/.exec(pathname.slice(this.#list.pathname.length))?.[0]
  }
}
