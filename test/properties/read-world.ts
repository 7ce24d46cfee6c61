import { wheel } from '#test/support/archives.js'
import { docsUpload, pages } from '#test/support/docs.js'
import type { Random } from '#test/support/random.js'
import type { TestServer, TestUser } from '#test/support/server.js'
import { zip } from '#test/support/zip-builder.js'
import { contentWord, GROUPS, type Item, type ItemLink, nameWord, randomPrincipals, type ReadModel, USERS } from './read-model.js'

const SHARED_PROJECTS = ['lib-a', 'lib-b']
const MOST_CLONES = 6
const MOST_ITEMS = 40

/** The server beside its model: every change is made to both, and where somebody may be refused, both must agree. */
export class ReadWorld {
  readonly users = new Map<string, TestUser>()
  readonly root: TestUser
  readonly #server: TestServer
  readonly #model: ReadModel
  readonly #random: Random
  #words = 0
  #clones = 0

  private constructor(server: TestServer, model: ReadModel, random: Random, root: TestUser) {
    this.#server = server
    this.#model = model
    this.#random = random
    this.root = root
  }

  /** Two indexes of each user, groups without members, and a few releases. */
  static async create(server: TestServer, model: ReadModel, random: Random): Promise<ReadWorld> {
    const world = new ReadWorld(server, model, random, await server.root())
    for (const user of USERS) {
      world.users.set(user, await server.signUp(user))
      for (const index of ['one', 'two']) await world.#createIndex(`${user}/${index}`)
    }
    await expectDone(world.root.put('/root/open', {}))
    for (const group of GROUPS) await expectDone(world.root.put(`/+groups/${group}`, {}))
    for (let count = 0; count < 6; count += 1) await world.#upload()
    return world
  }

  /** What everybody hears of, with which a stream of changes can be known to be at its end. */
  async announce(): Promise<number> {
    await expectDone(this.root.patch('/root/open', { title: `after ${this.#server.head()}` }))
    return this.#server.head()
  }

  /** One random change by root. */
  async change(): Promise<void> {
    const changes = [this.#setRights, this.#setRights, this.#setRights, this.#setMembers, this.#setMembers, this.#setBases, this.#setBases, this.#upload]
    await this.#random.pick(changes).call(this)
    this.#model.remember(this.#server.head())
  }

  /** Something that somebody does or is refused, which takes the right to read an index. */
  async attempt(): Promise<void> {
    await this.#random.pick([this.#test, this.#push, this.#clone]).call(this)
    this.#model.remember(this.#server.head())
  }

  async #createIndex(name: string): Promise<void> {
    const title = `titlemark${(this.#words += 1)}x`
    await expectDone(this.root.put(`/${name}`, { title }))
    this.#model.indexes.set(name, { name, title, readers: undefined, uploaders: [name.split('/')[0]!], testers: [':ANONYMOUS:'], bases: [], items: new Map() })
    this.#note(name, [title])
  }

  async #setRights(): Promise<void> {
    const index = this.#model.index(this.#anyIndex())
    const readers = this.#random.below(5) === 0 ? undefined : randomPrincipals(this.#random)
    const [uploaders, testers] = [randomPrincipals(this.#random), randomPrincipals(this.#random)]
    await expectDone(this.root.patch(`/${index.name}`, { acl_read: readers ?? null, acl_upload: uploaders, acl_toxresult_upload: testers }))
    Object.assign(index, { readers, uploaders, testers })
  }

  async #setMembers(): Promise<void> {
    const group = this.#random.pick(GROUPS)
    const members = USERS.filter(() => this.#random.below(2) === 0)
    await expectDone(this.root.patch(`/+groups/${group}`, { members }))
    this.#model.groups.set(group, new Set(members))
  }

  /** Among all indexes, so that circles come about. */
  async #setBases(): Promise<void> {
    const index = this.#model.index(this.#anyIndex())
    const bases = [...this.#model.indexes.keys()].filter((name) => name !== index.name && this.#random.below(4) === 0)
    await expectDone(this.root.patch(`/${index.name}`, { bases }))
    index.bases = bases
  }

  /** A release of its own project or one that others have, perhaps with documentation. */
  async #upload(): Promise<void> {
    const number = (this.#words += 1)
    if (number > MOST_ITEMS + 20) return
    const name = this.#anyIndex()
    const project = this.#random.pick([...SHARED_PROJECTS, `solo-namemark${number}x`])
    const item: Item = { number, project, version: `1.${number}` }
    const word = contentWord(item)
    const file = wheel(project, item.version, { tag: `py3-none-${nameWord(item)}`, metadata: { Summary: word }, extra: { 'marker.bin': Buffer.from(word) } })
    await expectDone(this.root.upload(name, { ...file, fields: { summary: word } }))
    this.#note(name, [nameWord(item)])
    if (this.#random.below(3) > 0) {
      const html = `<p>${word}</p>`
      await expectDone(this.root.upload(name, docsUpload(project, item.version, zip(pages({ 'index.html': html, 'sub/index.html': html }).map((page) => ({ ...page, stored: true }))))))
    }
    await this.#learnLinks(name, item)
  }

  /** Somebody attaches a test report, or may not. */
  async #test(): Promise<void> {
    const found = this.#anyItem()
    if (found === undefined) return
    const { name, item, links } = found
    const caller = this.#anybody()
    const reply = await caller.post(`/${name}/${links.find(({ rel }) => rel === 'releasefile')!.path}`, { testenvs: {}, word: contentWord(item) })
    const asker = { name: caller.name, user: caller.name }
    expect([caller.name, 'tests', name, reply.ok]).toEqual([caller.name, 'tests', name, this.#model.mayRead(asker, name) && this.#model.mayTest(asker, name)])
    if (reply.ok) this.#note(name, [nameWord(item)])
    await this.#learnLinks(name, item)
  }

  /** Somebody pushes a release, or may not: to read it there and to upload it here are both asked for. */
  async #push(): Promise<void> {
    const found = this.#anyItem()
    const target = this.#anyIndex()
    if (found === undefined || found.name === target) return
    const { name, item } = found
    const caller = this.#anybody()
    const asker = { name: caller.name, user: caller.name }
    const isNew = !this.#model.index(target).items.has(item)
    const head = this.#server.head()
    const reply = await caller.post(`/${name}`, { name: item.project, version: item.version, targetindex: target })
    const may = this.#model.mayRead(asker, name) && this.#model.mayUpload(asker, target)
    expect([caller.name, 'pushes', name, target, reply.ok]).toEqual([caller.name, 'pushes', name, target, may])
    if (!may) expect(this.#server.head()).toBe(head)
    if (this.#server.head() > head) this.#note(target, [nameWord(item)])
    if (may || !isNew) await this.#learnLinks(target, item)
  }

  /** Somebody clones an index as it is or was, or may not. */
  async #clone(): Promise<void> {
    if (this.#clones === MOST_CLONES) return
    const caller = this.users.get(this.#random.pick(USERS))!
    const source = this.#anyIndex()
    const past = this.#random.pick([undefined, ...this.#model.pasts.slice(-5)])
    const from = this.#model.at(source, past)
    const name = `${caller.name}/clone${this.#clones}`
    const title = `titlemark${(this.#words += 1)}x`
    const settings = { title, acl_upload: [caller.name], acl_toxresult_upload: [], bases: [], acl_read: [] }
    const reply = await caller.put(`/${name}`, { ...settings, clone: past === undefined ? source : `${source}@${past.serial}` })
    const may = from !== undefined && this.#model.mayRead({ name: caller.name, user: caller.name }, source)
    expect([caller.name, 'clones', source, past?.serial, reply.ok]).toEqual([caller.name, 'clones', source, past?.serial, may])
    if (!may) return
    this.#clones += 1
    this.#model.indexes.set(name, { name, title, readers: [], uploaders: [caller.name], testers: [], bases: [], items: from.items })
    for (const item of from.items.keys()) await this.#learnLinks(name, item)
  }

  /** Reads as root which files an item has on an index. */
  async #learnLinks(name: string, item: Item): Promise<void> {
    const reply = await this.root.get(`/${name}/${item.project}/${item.version}`)
    const { result } = (await reply.json()) as { result: { '+links': { href: string; rel: string }[] } }
    const links: ItemLink[] = []
    for (const { href, rel } of result['+links']) {
      const { pathname } = new URL(href)
      if (pathname.startsWith(`/${name}/`)) links.push({ rel, path: pathname.slice(name.length + 2) })
    }
    const index = this.#model.index(name)
    index.items = new Map([...index.items, [item, links]])
  }

  #note(index: string, words: readonly string[]): void {
    this.#model.happened.push({ serial: this.#server.head(), index, words })
  }

  #anyIndex(): string {
    return this.#random.pick([...this.#model.indexes.keys()])
  }

  #anyItem(): { readonly name: string; readonly item: Item; readonly links: readonly ItemLink[] } | undefined {
    const all = [...this.#model.indexes.values()].flatMap(({ name, items }) => [...items].map(([item, links]) => ({ name, item, links })))
    return all.length === 0 ? undefined : this.#random.pick(all)
  }

  #anybody(): TestUser {
    return this.#random.pick([this.root, ...this.users.values()])
  }
}

async function expectDone(reply: Promise<Response>): Promise<void> {
  const found = await reply
  if (!found.ok) throw new Error(`${found.url}: ${found.status} ${await found.text()}`)
}
