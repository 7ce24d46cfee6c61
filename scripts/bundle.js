// Writes dist/bundle/: the compiled client, with the packages that every command takes, in a few files instead of some 400.
// Reading and linking those was most of the time that a command took. Run by the build in a process of its own.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

/** What stands in the bundle; other packages are loaded by the few commands that take them. */
const BUNDLED = ['@oclif/core', 'got']

const root = fileURLToPath(new URL('..', import.meta.url))
const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const commands = readdirSync(join(root, 'dist/cli/commands'), { recursive: true }).filter((path) => path.endsWith('.js'))

const { metafile } = await build({
  absWorkingDir: root,
  entryPoints: ['dist/cli/main.js', ...commands.map((path) => join('dist/cli/commands', path))],
  outbase: 'dist/cli',
  outdir: 'dist/bundle',
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20.19',
  // The framework compiles the plugins of others with the latter, if it is there; we have none.
  external: [...Object.keys(dependencies).filter((name) => !BUNDLED.includes(name)), 'typescript'],
  alias: { 'http2-wrapper': './scripts/bundle-parts/no-http2.js' },
  // CommonJS packages ask for Node's own modules with it.
  banner: { js: "import { createRequire as requireFrom } from 'node:module'\nconst require = requireFrom(import.meta.url)" },
  metafile: true,
  logLevel: 'warning',
})
writeFileSync(join(root, 'dist/bundle/LICENSES.txt'), licencesOf(metafile))

/** Of all packages that code was taken from: their licences ask to stand beside it. */
function licencesOf({ inputs }) {
  const folders = new Set(Object.keys(inputs).flatMap((path) => /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(path) ?? []))
  const texts = [...folders].sort().map((folder) => {
    const { name, version, license } = JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8'))
    const files = readdirSync(join(root, folder)).filter((file) => /^(licen[cs]e|copying|notice)/i.test(file))
    return [`${name} ${version}: ${license}`, ...files.map((file) => readFileSync(join(root, folder, file), 'utf8').trim())].join('\n\n')
  })
  return `${texts.join(`\n\n${'-'.repeat(80)}\n\n`)}\n`
}
