import { TOKEN_ACTION } from '#server/auth/permissions.js'
import { NOUNS, OPERATIONS, SHAPES } from '#server/http/api-description/all.js'
import { createApp } from '#server/http/app.js'
import { type Walked, walkRoutes, withoutSlash } from '#test/support/router-walk.js'
import { startUploadServer } from './upload-server.js'

let walked: Walked
beforeAll(async () => {
  await using server = await startUploadServer()
  walked = walkRoutes(createApp(server.deps))
})

const DESCRIBED = OPERATIONS.flatMap(({ method, path, routedAs = path, alsoAt = [] }) =>
  [routedAs, ...alsoAt].map((template) => `${method} ${withoutSlash(template)}`),
)

test('every route is described', () => {
  expect(walked.routes.size).toBeGreaterThan(40)
  expect([...walked.routes].filter((route) => !DESCRIBED.includes(route))).toEqual([])
})

test('everything that is described is a route', () => {
  expect(DESCRIBED.filter((route) => !walked.routes.has(route))).toEqual([])
})

test('nothing answers but routes, and what begins and ends each request', () => {
  // The beginning, and the refusal of what no route has; then what follows renamed indexes and what answers errors.
  expect(walked.plain).toEqual([3, 0, 4, 4])
})

test('addresses that only refuse are not described', () => {
  const described = new Set(DESCRIBED.map((route) => route.slice(route.indexOf(' ') + 1)))
  expect([...walked.templates].filter((template) => !described.has(template))).toEqual(['/{user}/{index}/+e/{path}'])
})

test('every operation has a name of its own', () => {
  expect(new Set(OPERATIONS.map(({ id }) => id)).size).toBe(OPERATIONS.length)
})

test('no shape is described twice', () => {
  const names = NOUNS.flatMap(({ shapes = {} }) => Object.keys(shapes))
  expect(names.length).toBe(new Set(names).size)
  expect(Object.keys(SHAPES).length).toBe(names.length + 2)
})

test('whatever changes something asks the table of permissions', () => {
  const unasked = OPERATIONS.filter(({ method, changes, asks }) => 'noRight' in asks && (changes || !['GET', 'POST'].includes(method)))
  expect(unasked.map(({ id }) => id)).toEqual([])
})

test('what is posted and asks for no right has its reason, and is one of a few', () => {
  const open = OPERATIONS.filter(({ method, asks }) => method !== 'GET' && 'noRight' in asks).map(({ id }) => id)
  expect(open).toEqual(['logIn', 'showApiByPost', 'showUserApiByPost'])
})

test('every right of the table is asked by a route', () => {
  const asked = new Set<string>(OPERATIONS.flatMap(({ asks }) => ('noRight' in asks ? [] : [...asks])))
  expect(Object.keys(TOKEN_ACTION).filter((action) => !asked.has(action))).toEqual([])
})

test('only GET is free of changes by its method', () => {
  expect(OPERATIONS.filter(({ method, changes }) => method === 'GET' && changes)).toEqual([])
})
