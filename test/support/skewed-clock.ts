/*
 * Preloaded into a child process, as `--import …/skewed-clock.js?ms=600000`:
 * its clock goes wrong by so many milliseconds.
 */
const skewMs = Number(new URL(import.meta.url).searchParams.get('ms'))
const RightDate = globalThis.Date

globalThis.Date = new Proxy(RightDate, {
  construct: (target, args: unknown[], newTarget) => Reflect.construct(target, args.length === 0 ? [RightDate.now() + skewMs] : args, newTarget) as object,
  get: (target, name, receiver) => (name === 'now' ? () => RightDate.now() + skewMs : (Reflect.get(target, name, receiver) as unknown)),
})
