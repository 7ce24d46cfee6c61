import { mediaTypeOf } from '#server/packaging/media-type.js'

test.each([
  ['index.html', 'text/html; charset=utf-8'],
  ['a/B.HTM', 'text/html; charset=utf-8'],
  ['_static/x.css', 'text/css; charset=utf-8'],
  ['searchindex.js', 'text/javascript; charset=utf-8'],
  ['_sources/index.rst.txt', 'text/plain; charset=utf-8'],
  ['logo.svg', 'image/svg+xml; charset=utf-8'],
  ['a.json', 'application/json'],
  ['f.woff2', 'font/woff2'],
  ['objects.inv', 'application/octet-stream'],
  ['html', 'application/octet-stream'],
  ['a.html/b', 'application/octet-stream'],
  ['constructor', 'application/octet-stream'],
  ['a.__proto__', 'application/octet-stream'],
])('the type of %s is %s', (path, type) => {
  expect(mediaTypeOf(path)).toBe(type)
})
