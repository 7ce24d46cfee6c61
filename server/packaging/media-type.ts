const TEXT = '; charset=utf-8'

/**
 * The media type of a file that is shown in a browser, by its extension. Text
 * is UTF-8, as all tools write it that make documentation today.
 */
export function mediaTypeOf(path: string): string {
  const dot = path.lastIndexOf('.')
  const extension = dot > path.lastIndexOf('/') ? path.slice(dot + 1).toLowerCase() : ''
  return TYPES.get(extension) ?? 'application/octet-stream'
}

const TYPES: ReadonlyMap<string, string> = new Map([
  ['html', `text/html${TEXT}`],
  ['htm', `text/html${TEXT}`],
  ['xhtml', `application/xhtml+xml${TEXT}`],
  ['css', `text/css${TEXT}`],
  ['js', `text/javascript${TEXT}`],
  ['mjs', `text/javascript${TEXT}`],
  ['txt', `text/plain${TEXT}`],
  ['md', `text/plain${TEXT}`],
  ['rst', `text/plain${TEXT}`],
  ['py', `text/plain${TEXT}`],
  ['log', `text/plain${TEXT}`],
  ['csv', `text/csv${TEXT}`],
  ['xml', `application/xml${TEXT}`],
  ['json', 'application/json'],
  ['map', 'application/json'],
  ['webmanifest', 'application/manifest+json'],
  ['svg', `image/svg+xml${TEXT}`],
  ['png', 'image/png'],
  ['jpg', 'image/jpeg'],
  ['jpeg', 'image/jpeg'],
  ['gif', 'image/gif'],
  ['webp', 'image/webp'],
  ['avif', 'image/avif'],
  ['ico', 'image/x-icon'],
  ['woff', 'font/woff'],
  ['woff2', 'font/woff2'],
  ['ttf', 'font/ttf'],
  ['otf', 'font/otf'],
  ['eot', 'application/vnd.ms-fontobject'],
  ['wasm', 'application/wasm'],
  ['pdf', 'application/pdf'],
  ['epub', 'application/epub+zip'],
  ['zip', 'application/zip'],
  ['gz', 'application/gzip'],
  ['mp3', 'audio/mpeg'],
  ['ogg', 'audio/ogg'],
  ['mp4', 'video/mp4'],
  ['webm', 'video/webm'],
])
