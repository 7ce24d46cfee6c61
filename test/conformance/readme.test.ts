import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { startHtmlOnly } from '#scripts/html-only.js'
import { ROOT, startChild } from '#test/support/child-server.js'
import { testWith, Workshop } from '#test/support/real-clients.js'

/** The shell blocks of the section on the first package, in order. */
function quickstart(): string[] {
  const text = readFileSync(join(ROOT, 'README.md'), 'utf8')
  const section = /## The first package\n([\s\S]*?)\n## /.exec(text)?.[1] ?? ''
  return [...section.matchAll(/```bash\n([\s\S]*?)```/g)].map(([, block = '']) => block)
}

testWith(['twine', 'venv', 'ensurepip', 'build', 'setuptools'])(
  'the commands of the README do what it says',
  async () => {
    await using workshop = await Workshop.open()
    await using server = await startChild(workshop.path('server'))
    await using html = await startHtmlOnly(server.url, 0)
    const commands = quickstart()
      .join('\n')
      .replaceAll('http://localhost:3141', server.url)
      .replaceAll('http://localhost:3142', html.url)
    const output = await workshop.succeed('bash', ['-euxo', 'pipefail', '-c', commands])

    expect(output.match(/^hello from devpi$/gm)).toHaveLength(2)
    expect(output).toContain('Available versions: 1.0')
    expect(output).toContain("project 'hello-devpi' version '1.1' yanked")
    expect(output).toMatch(/^hello-devpi +1\.0$/m)
  },
  180_000,
)
