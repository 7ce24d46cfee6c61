import fc from 'fast-check'
import type { Hashes, ProjectPage, SimpleFile } from '#server/packaging/simple-page.js'

const hex = (length: number): fc.Arbitrary<string> =>
  fc.string({ unit: fc.constantFrom(...'0123456789abcdef'), minLength: length, maxLength: length })

const hashes: fc.Arbitrary<Hashes> = fc.oneof(
  fc.record({ sha256: hex(64) }),
  fc.record({ md5: hex(32) }),
  fc.record({ sha256: hex(64), blake2b_256: hex(64) }),
)

/** Text of any characters, hostile ones among them. */
const text = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 })
const filename = text.filter((name) => !/^\.{1,2}$|[/\\\p{Cc}\p{Cs}]/u.test(name))

/** Files that every spelling can tell apart, with names and reasons nobody would dare to choose. */
export const anyFile: fc.Arbitrary<SimpleFile> = fc
  .record(
    {
      filename,
      url: filename.map((name) => `../../+f/abc/0123456789abc/${encodeURIComponent(name)}`),
      hashes: fc.oneof(hashes, fc.constant({})),
      requiresPython: text,
      size: fc.nat(),
      uploadTime: fc.integer({ min: 0, max: 4_000_000_000_000 }),
      yanked: fc.oneof(fc.constant(true as const), text),
      coreMetadata: fc.oneof(fc.constant(true as const), hashes),
      provenance: fc.constant('https://pkg.example/integrity/demo.provenance'),
    },
    { requiredKeys: ['filename', 'url', 'hashes'] },
  )

export const anyPage: fc.Arbitrary<ProjectPage> = fc
  .record(
    {
      name: fc.constantFrom('demo', 'zope-interface', '7z'),
      files: fc.array(anyFile, { maxLength: 5 }),
      versions: fc.array(text, { maxLength: 4 }),
      projectStatus: fc.oneof(
        fc.constant({ status: 'active' as const }),
        text.map((reason) => ({ status: 'quarantined' as const, reason })),
      ),
      lastSerial: fc.nat(),
    },
    { requiredKeys: ['name', 'files', 'versions'] },
  )

/** A page as large as the largest of the wild, with every field set. */
export function largePage(count: number): ProjectPage {
  const sha256 = 'dd609a8f933b97da767bb41d1e6530b9d0f658b30eb90cd2e6ca4178dc255d44'
  const files = Array.from({ length: count }, (_, at): SimpleFile => {
    const filename = `demo-1.0.${at}-cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64.whl`
    return {
      filename,
      url: `../../+f/dd6/09a8f933b97da/${filename}`,
      hashes: { sha256 },
      requiresPython: '>=3.8,<4',
      size: 1_000_000 + at,
      uploadTime: 1_700_000_000_000 + at * 1_234_567,
      coreMetadata: { sha256 },
      owner: 'nina/dev',
      ...(at % 50 === 0 ? { yanked: 'broken build' } : {}),
    }
  })
  return { name: 'demo', files, versions: files.map((_, at) => `1.0.${at}`) }
}

/** The fastest of several runs, in ms: what the code costs when the machine is not busy with something else. */
export function fastest(runs: number, work: () => unknown): number {
  let best = Number.POSITIVE_INFINITY
  for (let run = 0; run < runs; run++) {
    const before = performance.now()
    work()
    best = Math.min(best, performance.now() - before)
  }
  return best
}
