import { sdist, wheel } from '#test/support/archives.js'
import { startServer } from '#test/support/server.js'

interface Version {
  readonly version: string
  readonly yanked?: string | true
  readonly '+links'?: readonly { readonly rel: string; readonly href: string }[]
  readonly '+shadowing'?: readonly Version[]
}

test('a project, read in one pass over its indexes, has of each version what the version has alone', async () => {
  await using server = await startServer()
  const alice = await server.signUp('alice', { far: { bases: [] }, near: { bases: ['alice/far'] }, dev: { bases: ['alice/near'] } })
  const ok = async (reply: Promise<Response>): Promise<Response> => {
    expect((await reply).status).toBe(200)
    return reply
  }
  for (const [index, file] of [
    ['far', sdist('demo', '2.0')],
    ['far', sdist('demo', '1.0.0')],
    ['far', wheel('demo', '0.5')],
    ['near', sdist('demo', '1.0')],
    ['near', wheel('demo', '1.0')],
    ['near', sdist('demo', '0.9')],
    ['dev', wheel('demo', '1.0')],
    ['dev', sdist('demo-other', '1.0')],
  ] as const) await ok(alice.upload(index, file))
  await ok(alice.patch('/alice/far/demo/2.0', { yanked: 'too far' }))
  await ok(alice.patch('/alice/near', { constraints: ['demo!=0.9'] }))
  const project = async (query = ''): Promise<Readonly<Record<string, Version>>> =>
    ((await (await ok(alice.get(`/alice/dev/demo/${query}`))).json()) as { result: Record<string, Version> }).result
  const version = async (name: string): Promise<Version> => ((await (await ok(alice.get(`/alice/dev/demo/${name}`))).json()) as { result: Version }).result
  const [file] = (await version('1.0'))['+links'] ?? []
  await ok(alice.post(new URL(file?.href ?? '').pathname, { testenvs: {} }))

  const found = await project()
  expect(Object.keys(found)).toEqual(['2.0', '1.0', '0.5'])
  for (const name of Object.keys(found)) expect(found[name]).toEqual(await version(name))
  expect((await alice.get('/alice/dev/demo/0.9')).status).toBe(404)
  expect(found['1.0']?.['+links']?.map(({ rel }) => rel)).toEqual(['releasefile', 'toxresult'])
  expect(found['1.0']?.['+shadowing']?.map((one) => [one.version, one['+links']?.length])).toEqual([['1.0', 2], ['1.0.0', 1]])
  expect(found['2.0']).toMatchObject({ yanked: 'too far' })
  const own = await project('?ignore_bases=')
  expect(Object.entries(own).map(([name, one]) => [name, one['+shadowing']])).toEqual([['1.0', undefined]])
})
