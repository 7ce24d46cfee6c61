import { type JsonObject, listOf, objectOf, spoken, textOf } from './json.js'

/** One line of a hidden file: which, where, and by which rules. */
export function hiddenText({ file, index, rules, until }: JsonObject): string {
  const by = listOf(rules).map(objectOf).map(ruleText).join(' and ')
  const when = textOf(until)
  return `${spoken(file)} of ${spoken(index)} hidden by ${by}${when === undefined ? '' : ` until ${when}`}`
}

/** The server keeps the words of an index for itself that the user may not read. */
function ruleText({ option, value, index }: JsonObject): string {
  return value === undefined ? `${spoken(option)} of an index that you may not read` : `${spoken(option)}=${spoken(value)} of ${spoken(index)}`
}
