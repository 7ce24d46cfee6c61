import type { Edited } from './config-editors.js'

/** A table's head, or a key with its value, which may go over several lines. */
interface Item {
  readonly kind: 'table' | 'array of tables' | 'key'
  /** Names from the top, of a key with those of its table. */
  readonly path: readonly string[]
  readonly line: number
  /** The line behind it. */
  readonly end: number
}

/**
 * Sets a key of a TOML file, such as `['repositories', 'devpi', 'url']`, and
 * leaves everything else as it is. What sets it in another way than by tables, such as `repositories = {…}`, is not understood.
 */
export function setTomlKey(text: string, path: readonly string[], value: string): Edited {
  const lines = linesOf(text)
  const items = itemsOf(lines)
  if (items === undefined) return undefined
  const [last = ''] = path.slice(-1)
  const table = path.slice(0, -1)
  const setting = `${last} = ${JSON.stringify(value)}`
  const keys = items.filter(({ kind }) => kind === 'key')
  if (items.some((item) => item.kind !== 'table' && item.path.length < path.length && isWithin(path, item.path))) return undefined
  const [found, ...others] = keys.filter((item) => same(item.path, path))
  if (others.length > 0) return undefined
  if (found !== undefined) {
    const name = (lines[found.line] ?? '').replace(/\s*=.*$/, '') // as it is spelled there, which may be with its table
    return joined([...lines.slice(0, found.line), `${name} = ${JSON.stringify(value)}`, ...lines.slice(found.end)])
  }
  if (table.length === 0) return joined(insertedAbove(lines, items, setting))
  const [head, ...more] = items.filter((item) => item.kind === 'table' && same(item.path, table))
  if (more.length > 0) return undefined
  if (head !== undefined) return joined([...lines.slice(0, head.end), setting, ...lines.slice(head.end)])
  const isHeaded = (item: Item): boolean => items.some(({ kind, path: at }) => kind === 'table' && isWithin(at, table) && isWithin(item.path, at))
  if (keys.some((item) => isWithin(item.path, table) && !isHeaded(item))) return undefined // a table that dotted keys make takes no head
  return joined([...lines, ...(lines.length === 0 ? [] : ['']), `[${table.join('.')}]`, setting])
}

/** The text at a key; undefined when there is none, or the file is not understood. */
export function readTomlKey(text: string, path: readonly string[]): string | undefined {
  const lines = linesOf(text)
  const item = itemsOf(lines)?.find(({ kind, path: at }) => kind === 'key' && same(at, path))
  return item && /=\s*(["'])(.*?)\1\s*(?:#.*)?$/.exec(lines[item.line] ?? '')?.[2]
}

function insertedAbove(lines: readonly string[], items: readonly Item[], setting: string): string[] {
  const first = items.find(({ kind }) => kind !== 'key')?.line
  if (first === undefined) return [...lines, setting]
  return [...lines.slice(0, first), setting, '', ...lines.slice(first)]
}

/** Undefined for what is not understood: texts over several lines, and what is no TOML. */
function itemsOf(lines: readonly string[]): Item[] | undefined {
  const items: Item[] = []
  let table: readonly string[] = []
  for (let at = 0; at < lines.length; ) {
    const line = lines[at] ?? ''
    if (/^\s*(#.*)?$/.test(line)) {
      at += 1
      continue
    }
    const head = /^\s*(\[\[?)\s*([^[\]]+?)\s*\]\]?\s*(?:#.*)?$/.exec(line)
    const name = namesOf(head?.[2] ?? /^\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*=/.exec(line)?.[1])
    if (name === undefined) return undefined
    if (head !== null) {
      const isArray = head[1] === '[['
      table = isArray ? ['[[', ...name] : name // one of several tables: no path leads into it
      items.push({ kind: isArray ? 'array of tables' : 'table', path: name, line: at, end: at + 1 })
      at += 1
      continue
    }
    const end = endOfValue(lines, at)
    if (end === undefined) return undefined
    items.push({ kind: 'key', path: [...table, ...name], line: at, end })
    at = end
  }
  return items
}

function namesOf(text: string | undefined): string[] | undefined {
  const names = text?.match(/[\w-]+|"[^"]*"|'[^']*'/g)
  return names?.map((name) => name.replace(/^(["'])(.*)\1$/, '$2'))
}

/** The line behind a value that begins on this one; lists go on until their bracket is closed. */
function endOfValue(lines: readonly string[], start: number): number | undefined {
  let depth = 0
  for (let at = start; at < lines.length; at++) {
    const text = at === start ? (lines[at] ?? '').replace(/^[^=]*=/, '') : (lines[at] ?? '')
    if (/"""|'''/.test(text)) return undefined
    const bare = text.replace(/"(?:[^"\\]|\\.)*"|'[^']*'|#.*$/g, '')
    if (/["']/.test(bare)) return undefined
    depth += (bare.match(/[[{]/g) ?? []).length - (bare.match(/[\]}]/g) ?? []).length
    if (depth < 0) return undefined
    if (depth === 0) return at + 1
  }
  return undefined
}

function same(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && isWithin(a, b)
}

/** Whether `path` is at or below `above`. */
function isWithin(path: readonly string[], above: readonly string[]): boolean {
  return above.every((name, at) => path[at] === name)
}

function linesOf(text: string): string[] {
  return text === '' ? [] : text.replace(/\r?\n$/, '').split(/\r?\n/)
}

function joined(lines: readonly string[]): string {
  return `${lines.join('\n')}\n`
}
