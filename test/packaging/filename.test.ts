import fc from 'fast-check'
import { Refusal } from '#log-format/api/refusal.js'
import { checkUploadFilename, contentTypeOf, parseFilename } from '#server/packaging/filename.js'

describe('parts of a file name', () => {
  test.each([
    // server-http.md 4.5, with W37 mended
    ['my_pkg-1.0.tar.gz', 'my_pkg', '1.0', 'sdist', 'source'],
    ['my_pkg-1.0+x.1-1-cp311-cp311-manylinux_2_17_x86_64.whl', 'my_pkg', '1.0+x.1', 'bdist_wheel', '3.11'],
    ['pkg-1.0-py2.py3-none-any.whl', 'pkg', '1.0', 'bdist_wheel', '2.7'],
    ['pkg-name-2-1.0.tar.gz', 'pkg-name-2', '1.0', 'sdist', 'source'],
    ['pkg-1.0-beta.tar.gz', 'pkg', '1.0-beta', 'sdist', 'source'],
    ['pkg-1!2.0.post1.tar.gz', 'pkg', '1!2.0.post1', 'sdist', 'source'],
    ['pkg-1.0-py2.7.egg', 'pkg', '1.0', 'bdist_egg', '2.7'],
    ['pkg-1.0.win32-py2.7.exe', 'pkg', '1.0', 'bdist_wininst', '2.7'],
    ['pkg-1.0-1.noarch.rpm', 'pkg', '1.0', 'bdist_rpm', 'any'],
    ['pkg-1.0.doc.zip', 'pkg', '1.0', 'bdist_dumb', 'any'],
    ['pkg.zip', 'pkg', '', 'sdist', 'source'],
    ['pkg-1.0.tar.bz2', 'pkg', '1.0', 'sdist', 'source'],
    ['pkg-1.0.TAR.GZ', 'pkg', '1.0', 'sdist', 'source'],
    // PEP 625 and sdists before it
    ['zope_interface-7.2.tar.gz', 'zope_interface', '7.2', 'sdist', 'source'],
    ['zope.interface-4.0.5.zip', 'zope.interface', '4.0.5', 'sdist', 'source'],
    ['python-dateutil-2.8.2.tar.gz', 'python-dateutil', '2.8.2', 'sdist', 'source'],
    ['my-2to3-pkg-1.0rc1.tgz', 'my-2to3-pkg', '1.0rc1', 'sdist', 'source'],
    ['pkg-1.0-1.tar.gz', 'pkg', '1.0-1', 'sdist', 'source'],
    ['pkg-v1.0.tar.gz', 'pkg', 'v1.0', 'sdist', 'source'],
    ['pkg-name-1.0-local.tar.gz', 'pkg-name', '1.0-local', 'sdist', 'source'],
    ['pkg-name-trunk.tar.gz', 'pkg-name', 'trunk', 'sdist', 'source'],
    ['pkg-1.0.tar', 'pkg', '1.0', 'sdist', 'source'],
    ['-1.0.zip', '-1.0', '', 'sdist', 'source'],
    ['pkg-.zip', 'pkg-', '', 'sdist', 'source'],
    // distutils and setuptools
    ['pkg-1.0.linux-x86_64.tar.gz', 'pkg', '1.0', 'bdist_dumb', 'any'],
    ['pkg-1.0.macosx-10.9-x86_64.zip', 'pkg', '1.0', 'bdist_dumb', 'any'],
    ['pkg-1.0.win-amd64.zip', 'pkg', '1.0', 'bdist_dumb', 'any'],
    ['pkg-1.0.win-amd64-py3.4.msi', 'pkg', '1.0', 'bdist_msi', '3.4'],
    ['pkg-1.0.win32.exe', 'pkg', '1.0', 'bdist_wininst', 'any'],
    ['pkg-1.0.exe', 'pkg', '1.0', 'bdist_wininst', 'any'],
    ['pkg_x-1.0-py3.10-linux-x86_64.egg', 'pkg_x', '1.0', 'bdist_egg', '3.10'],
    ['pkg-py3-1.0-py2.7.egg', 'pkg-py3', '1.0', 'bdist_egg', '2.7'],
    ['pkg-1.0-2.fc20.src.rpm', 'pkg', '1.0', 'bdist_rpm', 'any'],
    ['pkg-1.0.dev1.rpm', 'pkg', '1.0.dev1', 'bdist_rpm', 'any'],
    ['my-pkg_1.0-1_all.deb', 'my-pkg', '1.0', 'bdist_dumb', 'any'],
    ['my-pkg-2_1_all.deb', 'my-pkg-2', '1', 'bdist_dumb', 'any'],
    ['my-pkg_1.0_amd64.deb', 'my-pkg', '1.0', 'bdist_dumb', 'any'],
    ['pkg-1.0.deb', 'pkg', '1.0', 'bdist_dumb', 'any'],
    ['pkg-1.0.dmg', 'pkg', '1.0', 'bdist_dmg', 'any'],
    ['pkg-1.0.bz2', 'pkg', '1.0', 'bdist_dumb', 'any'],
    // a wheel by its extension alone
    ['pkg-1.0.whl', 'pkg', '1.0', 'bdist_wheel', 'any'],
  ])('%j', (filename, project, version, kind, pythonVersion) => {
    expect(parseFilename(filename)).toMatchObject({ project, version, kind, pythonVersion })
  })

  test.each([
    // PEP 427 and 425
    ['distribution-1.0-1-py27-none-any.whl', '1.0', '1', 'py27', 'none', 'any', '2.7'],
    ['pkg-1.0-42foo-cp312-abi3-win_amd64.whl', '1.0', '42foo', 'cp312', 'abi3', 'win_amd64', '3.12'],
    [
      'pkg-1!1.0-pp310-pypy310_pp73-manylinux_2_17_x86_64.manylinux2014_x86_64.whl',
      '1!1.0',
      undefined,
      'pp310',
      'pypy310_pp73',
      'manylinux_2_17_x86_64.manylinux2014_x86_64',
      '3.10',
    ],
    ['pkg-1.0-py3-none-any.WHL', '1.0', undefined, 'py3', 'none', 'any', '3'],
    ['pkg-1.0_abc-cp39.cp310-none-any.whl', '1.0_abc', undefined, 'cp39.cp310', 'none', 'any', '3.9'],
    ['pkg-1.0-source-none-any.whl', '1.0', undefined, 'source', 'none', 'any', 'any'],
  ])('wheel %j', (filename, version, build, python, abi, platform, pythonVersion) => {
    const parsed = parseFilename(filename)
    expect(parsed).toMatchObject({ version, kind: 'bdist_wheel', pythonVersion, tags: { python, abi, platform } })
    expect(parsed?.build).toBe(build)
  })

  test.each([
    ['pkg.whl'],
    ['pkg-1.0.whl'],
    ['pkg-1.0-none-any.whl'],
    ['pkg-1.0-x1-py3-none-any.whl'], // a build tag starts with a digit
    ['pkg-1.0-1-2-py3-none-any.whl'],
    ['pkg-1.0-py3-none-.whl'],
    ['-1.0-py3-none-any.whl'],
    ['p kg-1.0-py3-none-any.whl'],
  ])('%j is no wheel by PEP 427', (filename) => {
    expect(parseFilename(filename)?.tags).toBeUndefined()
  })

  test.each([
    ['pkg-2-1.tar.gz', undefined, 'pkg', '2-1'],
    ['pkg-2-1.tar.gz', 'pkg-2', 'pkg-2', '1'],
    ['pkg-2-1.tar.gz', 'Pkg_2', 'pkg-2', '1'],
    ['name-with-dashes-1.0-foo.tar.gz', 'name.with.dashes', 'name-with-dashes', '1.0-foo'],
    ['name-1.0-x-2.0.tar.gz', 'name', 'name', '1.0-x-2.0'],
    ['name-1.0.tar.gz', 'other', 'name', '1.0'],
  ])('%j of project %j is %j %j', (filename, expected, project, version) => {
    expect(parseFilename(filename, expected)).toMatchObject({ project, version })
  })

  test.each([
    [''],
    ['.zip'],
    ['.tar.gz'],
    ['pkg-1.0'],
    ['pkg-1.0.tar.xz'],
    ['pkg-1.0.zip.asc'],
    ['pkg-1.0-py3-none-any.whl.metadata'],
    ['pkg-1.0.zip\n'],
    ['pkg-1.0.\u017fip'],
    [`${'x'.repeat(252)}.zip`],
  ])('%j is no archive', (filename) => {
    expect(parseFilename(filename)).toBeUndefined()
  })

  const tag = fc.stringMatching(/^[a-z][a-z0-9_.]{0,8}$/)
  test('of a wheel put together are those it was made of', () => {
    fc.assert(
      fc.property(
        fc.stringMatching(/^[A-Za-z0-9_.]{1,9}$/),
        fc.stringMatching(/^\d[a-z0-9_.+!]{0,8}$/),
        fc.record({ python: tag, abi: tag, platform: tag }),
        (project, version, tags) => {
          const filename = `${project}-${version}-${tags.python}-${tags.abi}-${tags.platform}.whl`
          expect(parseFilename(filename)).toMatchObject({ project, version, tags })
        },
      ),
    )
  })

  test('any text is parsed or not, and the parts stand in it', () => {
    const piece = fc.constantFrom('-', '.', '_', '1', '1.0', 'a', 'py3', 'linux-x', 'win32', 'none', 'é', '\ud800')
    const stem = fc.array(piece, { maxLength: 12 })
    const suffix = fc.constantFrom('.zip', '.tar.gz', '.whl', '.egg', '.exe', '.rpm', '.deb', '.doc.zip', '')
    const name = fc.oneof(
      fc.tuple(stem, suffix).map(([parts, end]) => parts.join('') + end),
      fc.string({ unit: 'binary' }),
    )
    fc.assert(
      fc.property(name, fc.option(fc.string(), { nil: undefined }), (filename, expected) => {
        const parsed = parseFilename(filename, expected)
        if (parsed === undefined) return
        expect(filename.startsWith(parsed.project)).toBe(true)
        expect(filename).toContain(parsed.version)
        expect(parsed.project).not.toBe('')
      }),
      { numRuns: 500 },
    )
  })
})

describe('an upload', () => {
  test.each([
    ['demo-1.0.tar.gz', 'demo', '1.0'],
    ['demo-1.0-py3-none-any.whl', 'demo', '1.0'],
    // PEP 503: any spelling of the project
    ['My.Pkg-1.0.tar.gz', 'my_pkg', '1.0'],
    ['my_pkg-1.0-py3-none-any.whl', 'My-Pkg', '1.0'],
    ['my-pkg-1.0.zip', 'my.pkg', '1.0'],
    ['pkg-2-1.zip', 'pkg-2', '1'],
    // PEP 440: any spelling of the version (W34)
    ['demo-1.0.0.tar.gz', 'demo', '1.0'],
    ['demo-1.0-alpha.tar.gz', 'demo', '1.0a0'],
    ['demo-1.0a0-py3-none-any.whl', 'demo', '1.0-alpha'],
    ['demo-2024.1.5.tar.gz', 'demo', '2024.01.05'],
    ['demo-1.0+ubuntu.1.tar.gz', 'demo', '1.0+Ubuntu-1'],
    // PEP 427, "Escaping and Unicode"
    ['demo-1.0_abc-py3-none-any.whl', 'demo', '1.0+abc'],
    ['demo-1.0_abc.1-py3-none-any.whl', 'demo', '1.0+abc-1'],
    ['demo-1.0_1-py3-none-any.whl', 'demo', '1.0-1'],
    // legacy versions
    ['demo-trunk.tar.gz', 'demo', 'trunk'],
    ['demo-1.0-foo.tar.gz', 'demo', '1.0-foo'],
    ['demo-1.0_foo-py3-none-any.whl', 'demo', '1.0-foo'],
    ['demo-1.0-ü.zip', 'demo', '1.0-ü'],
    // server-http.md 22, archive names
    ['demo-1.0.bz2', 'demo', '1.0'],
    ['demo-1.0.tar.bz2', 'demo', '1.0'],
    ['demo-1.0-py3-none-any.WHL', 'demo', '1.0'],
    // other kinds
    ['demo-1.0-py2.7.egg', 'demo', '1.0'],
    ['demo-1.0.win32-py2.7.exe', 'demo', '1.0'],
    ['demo-1.0-1.noarch.rpm', 'demo', '1.0'],
    ['demo_1.0-1_all.deb', 'demo', '1.0'],
    ['demo-1.0.linux-x86_64.tar.gz', 'demo', '1.0'],
  ])('%j belongs to %j %j', (filename, project, version) => {
    expect(checkUploadFilename(filename, { project, version })).toEqual(parseFilename(filename, project))
  })

  const archive = (name: string): string => `'${name}' is not a valid archive name`
  const noVersion = (name: string, version: string): string => `filename '${name}' does not contain version '${version}'`
  const noProject = (name: string, project: string): string => `filename '${name}' does not match project name '${project}'`
  const unsafe = 'the filename contains a control character, a slash, a quote, or one of < > % # ?'
  const wheel = 'a wheel is named project-version-python-abi-platform.whl'

  test.each([
    // server-http.md 4.4
    ['demo-1.0.tar.gz', 'demo', '2.0', noVersion('demo-1.0.tar.gz', '2.0')],
    ['demo-1.0.tar.xz', 'demo', '1.0', archive('demo-1.0.tar.xz')],
    ['other-1.0.zip', 'demo', '1.0', noProject('other-1.0.zip', 'demo')],
    ['other-1.0.zip', 'De_Mo', '1.0', noProject('other-1.0.zip', 'de-mo')],
    // server-http.md 22, archive names
    ['demo-1.0.tar', 'demo', '1.0', archive('demo-1.0.tar')],
    ['.zip', 'demo', '1.0', archive('.zip')],
    ['demo-1.0.zip.asc', 'demo', '1.0', archive('demo-1.0.zip.asc')],
    ['', 'demo', '1.0', archive('')],
    ['..', 'demo', '1.0', archive('..')],
    ['demo-1.0.doc.zip', 'demo', '1.0', archive('demo-1.0.doc.zip')],
    // W35: substrings and prefixes do not do
    ['wxyz-1.0.zip', 'w', '1.0', noProject('wxyz-1.0.zip', 'w')],
    ['demo-11.0.zip', 'demo', '1.0', noVersion('demo-11.0.zip', '1.0')],
    ['demo-1.0.1.zip', 'demo', '1.0', noVersion('demo-1.0.1.zip', '1.0')],
    ['demo-1.0rc1.zip', 'demo', '1.0', noVersion('demo-1.0rc1.zip', '1.0')],
    ['demo-1.0+l.zip', 'demo', '1.0', noVersion('demo-1.0+l.zip', '1.0')],
    ['demo-1.0-1.zip', 'demo', '1.0+1', noVersion('demo-1.0-1.zip', '1.0+1')],
    ['demo-1_0.zip', 'demo', '1.0', noVersion('demo-1_0.zip', '1.0')],
    ['demo.zip', 'demo', '1.0', noVersion('demo.zip', '1.0')],
    ['demo-extra-1.0.zip', 'demo', '1.0', noVersion('demo-extra-1.0.zip', '1.0')],
    ['demo-1.0-py3-none-any.whl', 'demo-1', '1.0', noProject('demo-1.0-py3-none-any.whl', 'demo-1')],
    ['de mo-1.0.zip', 'de-mo', '1.0', noProject('de mo-1.0.zip', 'de-mo')],
    ['_demo-1.0.zip', '-demo', '1.0', noProject('_demo-1.0.zip', '-demo')],
    // PEP 427
    ['demo-1.0.WHL', 'demo', '1.0', `${archive('demo-1.0.WHL')}: ${wheel}`],
    ['demo-1.0-py3-none.whl', 'demo', '1.0', `${archive('demo-1.0-py3-none.whl')}: ${wheel}`],
    // W5
    ['../demo-1.0.zip', 'demo', '1.0', unsafe],
    ['a/demo-1.0.zip', 'demo', '1.0', unsafe],
    ['C:\\demo-1.0.zip', 'demo', '1.0', unsafe],
    ['demo-1.0.zip\0', 'demo', '1.0', unsafe],
    ['demo\r\n-1.0.zip', 'demo', '1.0', unsafe],
    ['demo\x7f-1.0.zip', 'demo', '1.0', unsafe],
    ['demo\u0085-1.0.zip', 'demo', '1.0', unsafe],
    ['demo"-1.0.zip', 'demo', '1.0', unsafe],
    ["demo'-1.0.zip", 'demo', '1.0', unsafe],
    ['<b>demo-1.0.zip', 'demo', '1.0', unsafe],
    ['demo%2f-1.0.zip', 'demo', '1.0', unsafe],
    ['demo-1.0.zip#.zip', 'demo', '1.0', unsafe],
    ['demo-1.0\ud800.zip', 'demo', '1.0\ud800', unsafe], // a lone surrogate is no text
    ['demo-1.0-\u202epiz.zip', 'demo', '1.0-\u202epiz', unsafe], // turns the text around
    ['demo-1.0-\u2028.zip', 'demo', '1.0-\u2028', unsafe],
    [`demo-1.0-${'x'.repeat(243)}.zip`, 'demo', '1.0', 'the filename is longer than 255 characters'],
  ])('%j of %j %j is refused', (filename, project, version, message) => {
    expect(() => checkUploadFilename(filename, { project, version })).toThrow(
      expect.objectContaining({ name: 'Refusal', kind: 'invalid', message }),
    )
  })

  test('of any name is taken or refused', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (project, version) => {
        try {
          checkUploadFilename(`${project}-${version}.zip`, { project, version })
        } catch (error) {
          expect(error).toBeInstanceOf(Refusal)
        }
      }),
    )
  })
})

test.each([
  // server-http.md 12.3 and W24
  ['demo-1.0.tar.gz', 'application/gzip'],
  ['demo-1.0.TAR.GZ', 'application/gzip'],
  ['demo-1.0.tgz', 'application/gzip'],
  ['demo-1.0.tar', 'application/x-tar'],
  ['demo-1.0.tar.bz2', 'application/x-bzip2'],
  ['demo-1.0.bz2', 'application/x-bzip2'],
  ['demo-1.0.zip', 'application/zip'],
  ['demo-1.0.doc.zip', 'application/zip'],
  ['demo-1.0.exe', 'application/x-msdos-program'],
  ['demo-1.0-py3-none-any.whl', 'application/octet-stream'],
  ['demo-1.0-py3-none-any.whl.metadata', 'text/plain; charset=utf-8'],
  ['demo-1.0.tar.gz.toxresult-20260504091200-0', 'application/json'],
  ['demo-1.0.tar.xz', 'application/octet-stream'],
  ['demo-1.0.html', 'application/octet-stream'],
  ['demo-1.0.svg', 'application/octet-stream'],
  ['', 'application/octet-stream'],
])('%j is served as %s', (filename, wanted) => {
  expect(contentTypeOf(filename)).toBe(wanted)
})
