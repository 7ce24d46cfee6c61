import { readdir } from 'node:fs/promises'
import { jest } from '@jest/globals'
import { tableText } from '#scripts/replica-lab-parts/table.js'
import { main } from '#scripts/replica-lab.js'

test('the lab shows a primary, two replicas and what they do, tells how to break them, and leaves nothing', async () => {
  let shown = ''
  expect(await main(['--seconds', '1', '--uploaders', '2', '--readers', '3'], { write: (text) => { shown += text }, isTerminal: false })).toBe(0)

  const folder = /everything is in (\S+)/.exec(shown)?.[1]
  for (const command of [/kill -9 \d+\n/, `promote --serverdir ${folder}/replica-1\n`, `--role replica --primary-url http://127.0.0.1:`]) expect(shown).toMatch(command)
  expect(shown).toMatch(/node +address +role +serial +lag +epoch +writes\/s +reads\/s +errors\n/)
  expect(shown).toMatch(/primary +http:\S+ +primary +[1-9]\d* +- +0 +[1-9]\d* +[1-9]\d* +0\n/)
  for (const name of ['replica-1', 'replica-2']) expect(shown).toMatch(new RegExp(`${name} +http:\\S+ +replica +[1-9]\\d* +\\d+ +0 +0 +[1-9]\\d* +0\\n`))
  expect(shown).toMatch(/their folder is removed\n$/)
  expect(folder).toMatch(/devpi-replica-lab-/)
  await expect(readdir(folder!)).rejects.toMatchObject({ code: 'ENOENT' })
  for (const [, pid] of shown.matchAll(/process (\d+)/g)) expect(() => process.kill(Number(pid), 0)).toThrow('ESRCH')
}, 60_000)

test('what is said of a node', () => {
  const counted = { url: 'http://x', writesPerSecond: 1.4, readsPerSecond: 0, errors: 2 }
  const primary = { role: 'MASTER', serial: 7, epoch: 1 } as const
  const replica = { role: 'REPLICA', serial: 5, epoch: 0, 'replica-lag-serials': 2, 'replica-lag-seconds': 3.2 } as const
  const rows = [undefined, primary, { ...primary, fenced: 'why' }, { ...replica, 'replica-state': 'following' as const }, { ...replica, 'replica-state': 'stopped' as const }]
  expect(tableText(rows.map((seen, at) => ({ ...counted, name: `n${at}`, seen }))).split('\n')).toEqual([
    'node  address   role              serial     lag  epoch  writes/s  reads/s  errors',
    'n0    http://x  gone                   -       -      -         1        0       2',
    'n1    http://x  primary                7       -      1         1        0       2',
    'n2    http://x  primary no more        7       -      1         1        0       2',
    'n3    http://x  replica                5       2      0         1        0       2',
    'n4    http://x  replica, stopped       5  2, 3 s      0         1        0       2',
    '',
  ])
})

test('arguments that nothing can be done with', async () => {
  const told = jest.spyOn(process.stderr, 'write').mockReturnValue(true)
  try {
    for (const argv of [['other'], ['--seconds', '0'], ['--seconds', 'x'], ['--readers', '201'], ['--other']]) expect(await main(argv)).toBe(2)
    expect(told).toHaveBeenCalledWith('--readers wants at most 200, not 201\n')
  } finally {
    told.mockRestore()
  }
})
