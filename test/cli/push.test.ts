import { writeFile } from 'node:fs/promises'
import { json } from 'node:stream/consumers'
import { listen, plain } from './listening.js'
import { DevpiHome } from './run-devpi.js'

/** What `devpi push` asks a server for; that it is done is tested with a server of ours. */
test.each<[words: string, features: readonly string[], asked: object | string]>([
  ['kite==1.0 bo/prod', [], { name: 'kite', version: '1.0', targetindex: 'bo/prod' }],
  ['--no-docs kite==1.0 bo/prod', ['push-no-docs'], { name: 'kite', version: '1.0', targetindex: 'bo/prod', no_docs: true }],
  ['--only-docs kite==1.0 bo/prod', ['push-only-docs'], { name: 'kite', version: '1.0', targetindex: 'bo/prod', only_docs: true }],
  ['--no-docs kite==1.0 bo/prod', [], "The server doesn't support the '--no-docs' option, 6.14.0 or newer required."],
  ['--only-docs kite==1.0 bo/prod', ['push-no-docs'], "The server doesn't support the '--only-docs' option, 6.14.0 or newer required."],
  ['--register-project --pypirc rc kite==1.0 pypi:a', [], "The server doesn't support the '--register-project' option, 6.14.0 or newer required."],
  ['--register-project kite==1.0 bo/prod', ['push-register-project'], { name: 'kite', version: '1.0', targetindex: 'bo/prod' }],
  ['--register-project --pypirc rc kite==1.0 pypi:a', ['push-register-project'], { name: 'kite', version: '1.0', posturl: 'http://repo.example/', username: 'me', password: 'p w', register_project: true }],
  ['--pypirc ~/rc my-kite-123-1.0 pypi:b', [], { name: 'my-kite-123', version: '1.0', posturl: 'https://upload.pypi.org/legacy/', username: 'you', password: 'from TWINE_PASSWORD' }],
])('push %s of a server with %j', async (words, features, asked) => {
  let body: unknown
  await using server = await listen(plain, (req, res) => {
    const root = `http://${req.headers.host ?? ''}`
    const reply = (value: object): void => void res.writeHead(200, { 'content-type': 'application/json', 'x-devpi-api-version': '2' }).end(JSON.stringify(value))
    if (req.method === 'POST') {
      void json(req).then((sent) => {
        body = sent
        reply({ type: 'actionlog', result: [[200, 'store_releasefile', 'x\ny'], [410, 'register', 'gone']] })
      })
    } else reply({ type: 'apiconfig', result: { login: `${root}/+login`, authstatus: ['noauth', '', []], features, index: `${root}/ada/dev`, simpleindex: `${root}/ada/dev/+simple/`, pypisubmit: `${root}/ada/dev/` } })
  })
  await using home = await DevpiHome.open()
  await writeFile(home.path('rc'), '[a]\nrepository: http://repo.example/\nusername = me\npassword: p w\n\n[b]\nusername: you\n')
  await home.run(`use ${server.url}/ada/dev`)
  const ran = await home.run(`push ${words}`, { env: words.includes('pypi:b') ? { TWINE_PASSWORD: 'from TWINE_PASSWORD' } : {} })
  if (typeof asked === 'string') {

    expect(ran).toMatchObject({ code: 1, err: [asked] })
    expect(body).toBeUndefined()
    return
  }
  expect([ran.code, body]).toEqual([0, asked])
  expect(ran.out.slice(-3)).toEqual(['   200 store_releasefile x', '   y', '   410 register gone'])
  expect(ran.out.includes('using default pypi url https://upload.pypi.org/legacy/')).toBe(words.includes('pypi:b'))
})
