/** Writing HTML by hand: whatever is put between the tags is escaped. */

const SPECIAL = /[&<>"']/
const SPECIALS = /[&<>"']/g

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

/** Fit for text and for attribute values in quotes; not for scripts, styles or unquoted attributes. */
export function escapeHtml(text: string): string {
  if (!SPECIAL.test(text)) return text
  return text.replace(SPECIALS, (character) => ENTITIES[character] ?? character)
}

/** Escapes every value put into the template. Pieces already written are joined to it with `+`, never put in. */
export function html(template: TemplateStringsArray, ...values: readonly (string | number)[]): string {
  let written = template[0] ?? ''
  values.forEach((value, at) => {
    written += escapeHtml(String(value)) + (template[at + 1] ?? '')
  })
  return written
}
