import { maskPassword } from './urls.js'

/** Changes one setting of a text and leaves everything else as it is. Undefined for a text that is not understood. */
export type Edited = string | undefined

/**
 * Sets a key in a section of an INI file, as Python's configparser reads
 * those. `spellings` are names of the key that mean the same; the one that is there stays.
 */
export function setIniKey(text: string, section: string, spellings: readonly string[], value: string): Edited {
  const lines = linesOf(text)
  const found = locateIni(lines, section, spellings)
  if (found === undefined) return undefined
  const { header, key } = found
  const [first = ''] = spellings
  if (key !== undefined) {
    const name = /^([^=:\s]+)/.exec(lines[key.line] ?? '')?.[1] ?? first
    return joined([...lines.slice(0, key.line), `${name} = ${value}`, ...lines.slice(key.end)])
  }
  if (header === undefined) return joined([...lines, ...(lines.length === 0 ? [] : ['']), `[${section}]`, `${first} = ${value}`])
  return joined([...lines.slice(0, header + 1), `${first} = ${value}`, ...lines.slice(header + 1)])
}

/** Adds a word to a setting that holds several, or takes it out. */
export function changeIniList(text: string, section: string, spellings: readonly string[], word: string, change: 'add' | 'remove'): Edited {
  const lines = linesOf(text)
  const found = locateIni(lines, section, spellings)
  if (found === undefined) return undefined
  const { key } = found
  const current = key === undefined ? [] : lines.slice(key.line, key.end).join(' ').replace(/^[^=:]*[=:]/, '').split(/\s+/).filter((one) => one !== '')
  if (current.includes(word) === (change === 'add')) return text
  const words = change === 'add' ? [...current, word] : current.filter((one) => one !== word)
  if (words.length > 0) return setIniKey(text, section, spellings, words.join('\n    '))
  return key === undefined ? text : joined([...lines.slice(0, key.line), ...lines.slice(key.end)])
}

interface IniPlace {
  readonly header: number | undefined
  /** Line of the key, and the one behind its continuations. */
  readonly key: { readonly line: number; readonly end: number } | undefined
}

/** Undefined when a line is none that configparser takes, or the section or key is there twice. */
function locateIni(lines: readonly string[], section: string, spellings: readonly string[]): IniPlace | undefined {
  let header: number | undefined
  let key: { line: number; end: number } | undefined
  let current: string | undefined
  for (const [at, line] of lines.entries()) {
    const name = /^\[([^\]]+)\]\s*(?:[#;].*)?$/.exec(line)?.[1]
    if (name !== undefined) {
      current = name
      if (name !== section) continue
      if (header !== undefined) return undefined
      header = at
    } else if (line.trim() === '' || /^\s*[#;]/.test(line)) continue
    else if (/^\s/.test(line)) {
      if (key?.end === at) key = { ...key, end: at + 1 }
      else if (current === undefined) return undefined
    } else {
      const option = /^([^=:]+?)\s*[=:]/.exec(line)?.[1]
      if (option === undefined || current === undefined) return undefined
      if (current !== section || !spellings.includes(option)) continue
      if (key !== undefined) return undefined
      key = { line: at, end: at + 1 }
    }
  }
  return { header, key }
}

/** The value of a key, its lines joined; undefined when there is none, or the file is not understood. */
export function readIniKey(text: string, section: string, spellings: readonly string[]): string | undefined {
  const lines = linesOf(text)
  const key = locateIni(lines, section, spellings)?.key
  return key && lines.slice(key.line, key.end).join(' ').replace(/^[^=:]*[=:]\s*/, '').trim()
}

/** Pairs of lines: files of settings have some hundred lines. */
const MOST_COMPARED = 4_000_000

/** What changed, as lines with `-` and `+`; passwords in them are hidden. */
export function differenceOf(before: string, after: string): string[] {
  const [old, fresh] = [linesOf(before), linesOf(after)]
  if (old.length * fresh.length > MOST_COMPARED) return ['… is too long to show what changes']
  const common = commonTails(old, fresh)
  const changes: string[] = []
  let [from, to] = [0, 0]
  while (from < old.length || to < fresh.length) {
    const [gone, come] = [old[from], fresh[to]]
    if (gone !== undefined && gone === come) {
      from += 1
      to += 1
    } else if (gone !== undefined && (come === undefined || common(from + 1, to) >= common(from, to + 1))) {
      changes.push(`- ${withoutPassword(gone)}`)
      from += 1
    } else {
      changes.push(`+ ${withoutPassword(come ?? '')}`)
      to += 1
    }
  }
  return changes
}

/** How many lines two texts have in common, in order, from these lines on. */
function commonTails(old: readonly string[], fresh: readonly string[]): (from: number, to: number) => number {
  const width = fresh.length + 1
  const lengths = new Uint32Array((old.length + 1) * width)
  const at = (from: number, to: number): number => lengths[from * width + to] ?? 0
  for (let from = old.length - 1; from >= 0; from--) {
    for (let to = fresh.length - 1; to >= 0; to--) lengths[from * width + to] = old[from] === fresh[to] ? at(from + 1, to + 1) + 1 : Math.max(at(from + 1, to), at(from, to + 1))
  }
  return at
}

function withoutPassword(line: string): string {
  return maskPassword(line).replace(/^(\s*[\w.-]*(?:password|token|secret)[\w.-]*\s*[=:]\s*).+$/i, '$1****')
}

function linesOf(text: string): string[] {
  return text === '' ? [] : text.replace(/\r?\n$/, '').split(/\r?\n/)
}

function joined(lines: readonly string[]): string {
  return `${lines.join('\n')}\n`
}
