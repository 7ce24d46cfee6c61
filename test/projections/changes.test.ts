import { keys } from '#log-format/keys.js'
import { type Serial, toSerial } from '#log-format/serial.js'
import { type ChangeFilter, changes, serialsAbout } from '#server/projections/changes.js'
import type { Storage } from '#server/storage/storage.js'
import { collect, openStorage, origin, tempFolder } from '#test/storage/temp-storage.js'
import { Random } from '#test/support/random.js'

const USERS = ['al', 'ali', 'alice']
const INDEXES = [undefined, 'a', 'ab', 'b', 'dev']
const PROJECTS = ['demo', 'demo-two']

/** Writes entries about random users, indexes and projects; what each was about. */
async function filled(storage: Storage, random: Random, count: number): Promise<ChangeFilter[]> {
  const about = Array.from({ length: count }, (): ChangeFilter => {
    const index = random.pick(INDEXES)
    return { user: random.pick(USERS), ...(index !== undefined && { index, project: random.pick(PROJECTS) }) }
  })
  const written = about.map(({ user = '', index, project }, at) =>
    storage.transact(origin(), (tx) => {
      tx.set(keys.user({ user }), { created: at })
      if (index === undefined || project === undefined) tx.record({ kind: 'user-modified', user, fields: [] })
      else tx.record({ kind: 'project-removed', user, index, project })
      return Promise.resolve()
    }),
  )
  await Promise.all(written)
  return about
}

test('whatever is asked about, the serials are those of a naive search, in order', async () => {
  const seed = Date.now() % 1e9
  await using folder = await tempFolder()
  await using storage = await openStorage(folder.path, { projections: [changes] })
  const about = await filled(storage, new Random(seed), 600)
  const filters: ChangeFilter[] = [
    ...USERS.map((user) => ({ user })),
    ...USERS.flatMap((user) => INDEXES.flatMap((index) => (index === undefined ? [] : [{ user, index }]))),
    ...PROJECTS.map((project) => ({ project })),
    { user: 'nobody' },
  ]
  for (const filter of filters) {
    for (const from of [0, 1, 299, 600, 5000]) {
      const wanted = about.flatMap((found, serial): Serial[] => {
        const isWanted = Object.entries(filter).every(([field, value]) => found[field as keyof ChangeFilter] === value)
        return isWanted && serial >= from ? [toSerial(serial)] : []
      })
      const found = await collect(serialsAbout(storage, filter, toSerial(from)) ?? nothing())
      expect({ seed, filter, from, found }).toEqual({ seed, filter, from, found: wanted })
    }
  }
})

async function* nothing(): AsyncGenerator<Serial> {
  // a filter that names nothing is not asked here
}
