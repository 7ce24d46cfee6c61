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

/** Sets a key above all tables of a TOML file. */
export function setTomlKey(text: string, key: string, value: string): Edited {
  if (/"""|'''/.test(text)) return undefined // a text over several lines may look like anything
  const lines = linesOf(text)
  const firstTable = lines.findIndex((line) => /^\s*\[/.test(line))
  const top = firstTable === -1 ? lines.length : firstTable
  const matching = lines.slice(0, top).flatMap((line, at) => (new RegExp(`^\\s*"?${key}"?\\s*=`).test(line) ? [at] : []))
  const setting = `${key} = ${JSON.stringify(value)}`
  const [at] = matching
  if (matching.length > 1) return undefined
  if (at === undefined) return joined([...lines.slice(0, top), setting, ...(firstTable === -1 ? [] : ['']), ...lines.slice(top)])
  return joined([...lines.slice(0, at), setting, ...lines.slice(at + 1)])
}

/** What changed, as lines with `-` and `+`. */
export function differenceOf(before: string, after: string): string[] {
  const [old, fresh] = [linesOf(before), linesOf(after)]
  let start = 0
  while (start < Math.min(old.length, fresh.length) && old[start] === fresh[start]) start++
  let end = 0
  while (end < Math.min(old.length, fresh.length) - start && old.at(-1 - end) === fresh.at(-1 - end)) end++
  return [...old.slice(start, old.length - end).map((line) => `- ${line}`), ...fresh.slice(start, fresh.length - end).map((line) => `+ ${line}`)]
}

function linesOf(text: string): string[] {
  return text === '' ? [] : text.replace(/\r?\n$/, '').split(/\r?\n/)
}

function joined(lines: readonly string[]): string {
  return `${lines.join('\n')}\n`
}
