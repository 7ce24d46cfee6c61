import { readdir, readFile } from 'node:fs/promises'
import { basename, dirname, join, posix, relative, sep } from 'node:path'
import ts from 'typescript'

/** A folder may import itself and folders of a lower floor; folders that share a floor never import each other. */
const FLOORS: ReadonlyMap<string, number> = new Map([
  ['log-format', 0],
  ['server/packaging', 1],
  ['server/storage', 2],
  ['server/upstream', 2],
  ['server/auth', 2],
  ['server/commands', 3],
  ['server/projections', 3],
  ['server/stages', 4],
  ['server/replication', 4],
  ['server/transfer', 4],
  ['server/http', 5],
  ['server/process', 6],
  ['server/bin', 7],
])
const TOP_FOLDERS = ['log-format', 'server', 'cli', 'scripts', 'test']
const MAX_LINES = 400
/** Files that may be longer, each with its reason. */
const LONG_FILES: ReadonlyMap<string, string> = new Map()
const BARRELS = ['log-format/index.ts']
const MAY_READ_ENVIRONMENT = ['server/process', 'server/bin', 'cli', 'scripts', 'test']
const DUMPING_GROUNDS = ['utils', 'util', 'helpers', 'helper', 'common', 'misc']

interface SourceFile {
  /** From the root, with `/` between folders. */
  readonly path: string
  readonly folder: string
  readonly lines: number
  readonly tree: ts.SourceFile
  /** Paths of the files of this tree that it imports. */
  readonly imports: readonly string[]
}

/** Every breach of the house rules in the source tree at `root`, as `path: what is wrong`, sorted. */
export async function checkTidiness(root: string): Promise<string[]> {
  const files = await readSources(root)
  const breaches = files.flatMap((file) => [
    ...nameBreaches(file.path),
    ...sizeBreaches(file),
    ...floorBreaches(file),
    ...contentBreaches(file),
  ])
  return [...new Set([...breaches, ...cycleBreaches(files)])].sort()
}

async function readSources(root: string): Promise<SourceFile[]> {
  const found: string[] = []
  for (const folder of TOP_FOLDERS) found.push(...(await filesUnder(join(root, folder))))
  return Promise.all(
    found.map(async (file) => {
      const text = await readFile(file, 'utf8')
      const path = relative(root, file).split(sep).join('/')
      const tree = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true)
      const imports = importsOf(tree).flatMap((specifier) => resolveImport(path, specifier) ?? [])
      return { path, folder: folderOf(path), lines: text.trimEnd().split('\n').length, tree, imports }
    }),
  )
}

async function filesUnder(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true }).catch(() => [])
  return entries.filter((entry) => entry.isFile() && /\.[jt]s$/.test(entry.name)).map((entry) => join(entry.parentPath, entry.name))
}

/** What the floors are about: `server/storage` for everything under it, else the top folder. */
function folderOf(path: string): string {
  const parts = path.split('/')
  return parts[0] === 'server' ? parts.slice(0, 2).join('/') : (parts[0] ?? '')
}

function importsOf(tree: ts.SourceFile): string[] {
  const { importedFiles } = ts.preProcessFile(tree.text, true, true)
  return importedFiles.map((imported) => imported.fileName)
}

/** The path of the imported source file, undefined for a package. */
function resolveImport(importer: string, specifier: string): string | undefined {
  const source = (path: string): string => (importer.endsWith('.ts') ? path.replace(/\.js$/, '.ts') : path)
  if (specifier.startsWith('#')) return source(specifier.slice(1))
  if (specifier.startsWith('.')) return source(posix.join(dirname(importer), specifier))
  return undefined
}

function nameBreaches(path: string): string[] {
  const breaches: string[] = []
  const wordy = /^[a-z0-9]+(-[a-z0-9]+)*(\.test|\.suite|\.config)?\.[jt]s$/
  if (!wordy.test(basename(path))) breaches.push(`${path}: file names are kebab-case`)
  for (const part of path.split('/')) {
    const word = part.replace(/\..*$/, '')
    if (DUMPING_GROUNDS.includes(word)) breaches.push(`${path}: ${word} is a dumping ground, find the noun`)
  }
  return breaches
}

function sizeBreaches({ path, lines }: SourceFile): string[] {
  const allowed = LONG_FILES.has(path)
  if (lines > MAX_LINES && !allowed) return [`${path}: ${lines} lines, ${MAX_LINES} are allowed`]
  if (lines <= MAX_LINES && allowed) return [`${path}: no longer long, take it off the list of long files`]
  return []
}

function floorBreaches({ path, folder, imports }: SourceFile): string[] {
  if (folder === 'scripts' || folder === 'test') return []
  if (folder !== 'cli' && !FLOORS.has(folder)) return [`${path}: ${folder} has no floor`]
  return imports.flatMap((imported) => (mayImport(folder, folderOf(imported)) ? [] : [`${path}: may not import ${imported}`]))
}

function mayImport(importer: string, imported: string): boolean {
  if (importer === imported) return true
  if (importer === 'cli') return imported === 'log-format'
  const from = FLOORS.get(importer)
  const to = FLOORS.get(imported)
  return from !== undefined && to !== undefined && to < from
}

function contentBreaches({ path, folder, tree }: SourceFile): string[] {
  const breaches: string[] = []
  const add = (rule: string, node: ts.Node): void => {
    const { line } = tree.getLineAndCharacterOfPosition(node.getStart(tree))
    breaches.push(`${path}: ${rule} (line ${line + 1})`)
  }
  if (isBarrel(tree) && !BARRELS.includes(path)) breaches.push(`${path}: a barrel, import the file that has the thing`)

  const visit = (node: ts.Node): void => {
    if (!MAY_READ_ENVIRONMENT.includes(folder) && readsEnvironment(node)) add('process.env is read by server/process alone', node)
    if (folder !== 'test') {
      if (node.kind === ts.SyntaxKind.AnyKeyword) add('any', node)
      if (ts.isNonNullExpression(node)) add('non-null !', node)
      if (isCastThroughUnknown(node)) add('as unknown as', node)
    }
    ts.forEachChild(node, visit)
  }
  visit(tree)
  return breaches
}

function readsEnvironment(node: ts.Node): boolean {
  return ts.isPropertyAccessExpression(node) && node.getText() === 'process.env'
}

function isCastThroughUnknown(node: ts.Node): boolean {
  return ts.isAsExpression(node) && ts.isAsExpression(node.expression) && node.expression.type.kind === ts.SyntaxKind.UnknownKeyword
}

/** Only passes on what other files export. */
function isBarrel(tree: ts.SourceFile): boolean {
  const exports = tree.statements.filter((statement) => !ts.isImportDeclaration(statement))
  return exports.length > 0 && exports.every((statement) => ts.isExportDeclaration(statement))
}

function cycleBreaches(files: readonly SourceFile[]): string[] {
  const imports = new Map(files.map((file) => [file.path, file.imports]))
  const done = new Set<string>()
  const breaches: string[] = []
  const follow = (path: string, trail: readonly string[]): void => {
    const seen = trail.indexOf(path)
    if (seen >= 0) {
      const ring = trail.slice(seen)
      breaches.push(`${ring[0] ?? path}: import cycle ${[...ring, path].join(' → ')}`)
    }
    if (seen >= 0 || done.has(path)) return
    for (const imported of imports.get(path) ?? []) follow(imported, [...trail, path])
    done.add(path)
  }
  for (const file of files) follow(file.path, [])
  return breaches
}

/** Prints the breaches of this checkout. Resolves to 1 when there are any. */
export async function main(): Promise<number> {
  const breaches = await checkTidiness(join(import.meta.dirname, '../..'))
  process.stdout.write(breaches.map((breach) => `${breach}\n`).join(''))
  return breaches.length === 0 ? 0 : 1
}
