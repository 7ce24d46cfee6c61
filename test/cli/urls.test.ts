import { address, asFolder, below, isBelow, maskPassword, maskUrl, parentFolders, parseServerUrl, rootOfLogin, takeCredentials, withPort } from '#cli/urls.js'

test.each([
  ['http://h/s/', 'bo/dev', 'http://h/s/bo/dev'],
  ['http://h/s/', '/bo/dev', 'http://h/s/bo/dev'],
  ['http://h/', 'bo/dev?no_projects=', 'http://h/bo/dev?no_projects='],
])('below %s lies %s', (root, path, wanted) => expect(below(root, path)).toBe(wanted))

test('an address holds each name whole', () => {
  expect(address('http://h/s', 'bo', 'dev')).toBe('http://h/s/bo/dev')
  expect(address('http://h/', 'a/b', '../c', '1.0+x')).toBe('http://h/a%2Fb/..%2Fc/1.0+x')
})

test('a folder has one slash at its end, and its query', () => {
  expect(asFolder('http://h/bo/dev/kite//?force=')).toBe('http://h/bo/dev/kite/?force=')
  expect(asFolder('http://h')).toBe('http://h/')
})

test.each([
  ['http://h/s/+login', 'http://h/s/'],
  ['http://h/+login', 'http://h/'],
])('the root of %s', (login, root) => expect(rootOfLogin(login)).toBe(root))

test.each([
  ['http://h/s/bo/dev', ['http://h/s/bo/dev', 'http://h/s/bo/', 'http://h/s/', 'http://h/']],
  ['http://h/s/bo/dev/+simple/', ['http://h/s/bo/dev/+simple/', 'http://h/s/bo/dev/', 'http://h/s/bo/', 'http://h/s/', 'http://h/']],
  ['http://h/', ['http://h/']],
])('the folders above %s', (url, folders) => expect(parentFolders(url)).toEqual(folders))

test.each([
  ['http://h/s/bo', 'http://h/s/', true],
  ['http://h/s', 'http://h/s/', true],
  ['http://h/sub', 'http://h/s/', false],
  ['http://h:80/s/', 'http://h/s/', true],
  ['https://h/s/', 'http://h/s/', false],
  ['http://h.example/', 'http://h/', false],
  ['http://h@evil/', 'http://h/', false],
  ['no url', 'http://h/', false],
])('%s is below %s: %s', (url, root, wanted) => expect(isBelow(url, root)).toBe(wanted))

test.each(['http://h:1802:31/x', 'ftp://h/', 'te:st', 'http://', '', 'bo/dev'])('%j is no URL of a server', (text) => {
  expect(() => parseServerUrl(text)).toThrow(/^invalid URL: /)
})

test('credentials are taken out, decoded, and both are needed', () => {
  expect(takeCredentials('http://ad%40a:s%2Fx@h/x')).toEqual({ url: 'http://h/x', credentials: { username: 'ad@a', password: 's/x' } })
  expect(takeCredentials('http://h/x').credentials).toBeUndefined()
  expect(() => takeCredentials('http://ada@h/')).toThrow('When using basic auth, you have to provide username and password.')
})

test('ports are spelled out', () => {
  expect(withPort('https://h/x')).toBe('https://h:443/x')
  expect(withPort('http://h:3141/')).toBe('http://h:3141/')
})

test('nothing secret is left in a text that is printed', () => {
  expect(maskUrl('GET http://ada:secret@h/x and https://tok@h/')).toBe('GET http://****:****@h/x and https://****:****@h/')
  expect(maskPassword('http://ada:secret@h/x')).toBe('http://ada:****@h/x')
})
