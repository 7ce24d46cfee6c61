// Stands in the bundle for the package `http2-wrapper` of the HTTP client, which never asks for HTTP/2 here: with it,
// Node's own module of that name was loaded for every request.
export default {
  globalAgent: undefined,
  auto() {
    throw new Error('HTTP/2 is not in the bundle')
  },
}
