import fc from 'fast-check'
import { Refusal } from '#log-format/api/refusal.js'
import { NameListHtml } from '#server/packaging/name-list-html.js'
import { NameListJson } from '#server/packaging/name-list-json.js'
import { SortedNames } from '#server/packaging/sorted-names.js'

/** Names that a reader finds in the text, which comes in pieces of `size` characters. */
function read(reader: NameListJson | NameListHtml, text: string, size: number): string[] {
  const names: string[] = []
  for (let at = 0; at < text.length; at += size) names.push(...reader.write(text.slice(at, at + size)))
  return [...names, ...reader.end()]
}

const META = '"meta":{"api-version":"1.4","_last-serial":7}'

describe('JSON', () => {
  test.each<[string, string, string[]]>([
    ['PEP 691: names in normal form', `{${META},"projects":[{"name":"Zope.Interface"},{"_last-serial":1,"name":"b"}]}`, ['zope-interface', 'b']],
    ['none', `{"projects" : [ ] , ${META}}`, []],
    ['white space and meta at the end', `{ "projects" :\n[ { "name" : "a" } , { "name" : "b" } ]\n, ${META} }\n`, ['a', 'b']],
    ['brackets, commas and quotes in strings', `{${META},"projects":[{"x":"]},{\\"[","name":"a"},{"name":"b","y":[[1,2],{"z":[]}]}],"w":["],"]}`, ['a', 'b']],
    ['a list of that name further in is another one', `{${META},"more":{"projects":[{"name":"x"}]},"projects":[{"name":"a"}]}`, ['a']],
    ['PEP 508: names that nobody could ask for are left out', `{${META},"projects":[{"name":"../a"},{"name":""},{"name":"ok"}]}`, ['ok']],
  ])('%s', (_, text, names) => {
    for (const size of [1, 7, 10_000]) expect(read(new NameListJson(), text, size)).toEqual(names)
  })

  test.each<[string, string]>([
    ['half of it', `{${META},"projects":[{"name":"a"},`],
    ['another version', '{"meta":{"api-version":"2.0"},"projects":[{"name":"a"}]}'],
    ['no list', `{${META}}`],
    ['no names', `{${META},"projects":["a"]}`],
    ['a name that is none', `{${META},"projects":[{"name":1}]}`],
    ['a comma too many', `{${META},"projects":[{"name":"a"},]}`],
    ['a comma first', `{${META},"projects":[,{"name":"a"}]}`],
    ['two commas', `{${META},"projects":[{"name":"a"},,{"name":"b"}]}`],
    ['another bracket', `{${META},"projects":[{"name":"a"}}}`],
    ['something behind it', `{${META},"projects":[{"name":"a"}]} x`],
    ['HTML', '<html></html>'],
    ['a list', '[{"name":"a"}]'],
    ['an endless entry', `{${META},"projects":[{"name":"${'a'.repeat(70_000)}"}]}`],
    ['much beside it', `{${META},"x":"${'a'.repeat(2 ** 20)}","projects":[]}`],
  ])('refused: %s', (_, text) => {
    for (const size of [13, 65_536]) expect(() => read(new NameListJson(), text, size)).toThrow(Refusal)
  })
})

describe('HTML', () => {
  const list = new URL('http://host.example/a/simple/')
  test.each<[string, string, string[]]>([
    ['PEP 503: relative links', '<a href="Demo_1/">Demo 1</a><a href=plain>p</a><a href="./dot/">d</a>', ['demo-1', 'plain', 'dot']],
    ['absolute ones below the list', '<a href="/a/simple/x/">x</a><a href="http://host.example/a/simple/y/?q#f">y</a>', ['x', 'y']],
    ['not those that lead elsewhere', '<a href="../">up</a><a href="/b/simple/x/">x</a><a href="//other.example/a/simple/x/">x</a><a href="x/y/">y</a>', []],
    ['nor anything odd', '<a>x</a><a href="">x</a><a href="javascript:x">x</a><a href="http://[/">x</a><a href="%2e%2e/">x</a><a href="-x/">x</a>', []],
  ])('%s', (_, html, names) => {
    for (const size of [1, 10_000]) expect(read(new NameListHtml(list), `<!DOCTYPE html><body>${html}`, size)).toEqual(names)
  })

  test('refused: another version (PEP 629)', () => {
    expect(() => read(new NameListHtml(list), '<meta name="pypi:repository-version" content="2.0">', 99)).toThrow(Refusal)
  })
})

test('names are sorted, each once, in whatever order and portions they come', () => {
  fc.assert(
    fc.property(fc.array(fc.array(fc.stringMatching(/^[a-z0-9][a-z0-9-]{0,5}$/), { maxLength: 50 })), fc.integer({ min: 1, max: 400 }), (portions, times) => {
      const sorted = new SortedNames()
      const added = portions.flatMap((names, at) => Array.from({ length: at === 0 ? times : 1 }, (_, round) => names.map((name) => `${name}${round}`)))
      for (const names of added) sorted.add(names)
      expect([...sorted.inOrder()]).toEqual([...new Set(added.flat())].sort())
    }),
    { numRuns: 60 },
  )
})
