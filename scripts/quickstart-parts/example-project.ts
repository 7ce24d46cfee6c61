import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Playground } from './playground.js'

type Files = Readonly<Record<string, string>>

const COMMON: Files = {
  'example.py': 'def answer():\n    return 42\n',
  'test_example.py': 'from example import answer\n\n\ndef test_answer():\n    assert answer() == 42\n',
  'tox.ini': '[tox]\nenvlist = py3\n[testenv]\ndeps = pytest\nsetenv = PIP_NO_COMPILE=1\ncommands = pytest -q test_example.py\n',
}

/** With a setup.py, and settings under which an sdist alone is built. */
export const SETUP_PY: Files = {
  ...COMMON,
  'setup.py': 'from setuptools import setup\n\nsetup(name="example", version="1.0", py_modules=["example"])\n',
  'setup.cfg': '[devpi:upload]\nsdist = true\n',
  'MANIFEST.in': 'include *.py *.txt tox.ini\n',
}

/** With a pyproject.toml: sdist and wheel are built. */
export const PYPROJECT: Files = {
  ...COMMON,
  'pyproject.toml': [
    '[build-system]',
    'requires = ["flit_core"]',
    'build-backend = "flit_core.buildapi"',
    '[project]',
    'name = "example"',
    'version = "1.0"',
    'description = "An example"',
    'requires-python = ">=3.8"',
    '[tool.flit.sdist]',
    'include = ["*.py", "*.txt", "tox.ini"]',
    '',
  ].join('\n'),
}

/** A file that the repository does not have, and that must not get into a release. */
export const UNVERSIONED = 'notes.txt'

/** The project `example` 1.0 below the top of a git repository, committed. */
export async function writeProject(playground: Playground, files: Files): Promise<void> {
  for (const [name, content] of Object.entries(files)) {
    const path = join(playground.project, name)
    await mkdir(dirname(path), { recursive: true })
    await writeFile(path, content)
  }
  const git = `git -C {repo} -c user.name=Test -c user.email=test@example.com`
  await playground.succeed(`git -C {repo} init -q && ${git} add . && ${git} commit -q -m 'Begin'`, 'home')
  await writeFile(join(playground.project, UNVERSIONED), 'not for others\n')
}
