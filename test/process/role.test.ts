import { Refusal } from '#log-format/api/refusal.js'
import { toSerial } from '#log-format/serial.js'
import { type AskedRole, decideRole, type RoleQuestion } from '#server/process/role.js'

const URL_GIVEN = 'http://given.example'
const URL_STORED = 'http://stored.example'
const NEW = { role: undefined, primaryUrl: undefined, head: toSerial(-1) }
/** Of a release that knew no roles. */
const OLD = { role: undefined, primaryUrl: undefined, head: toSerial(5) }
const STANDALONE = { ...OLD, role: 'standalone' }
const PRIMARY = { ...OLD, role: 'primary' }
const REPLICA = { ...OLD, role: 'replica', primaryUrl: URL_STORED }
const LOST = { ...OLD, role: 'replica', head: toSerial(-1) }

function outcome(question: RoleQuestion): string {
  try {
    const decided = decideRole(question)
    return decided.role === 'replica' ? `replica of ${decided.primaryUrl}${decided.parts === true ? ', if it was promoted' : ''}` : decided.role
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    return `${error.kind}: ${error.message}`
  }
}

// spec/server-mirror-replica.md 2.1, but for what is a weakness there: a primary stays one, and a replica does not become one by its name.
test.each<[AskedRole, string, RoleQuestion['stored'], string | undefined, string | RegExp]>([
  ['auto', 'a new serverdir', NEW, undefined, 'standalone'],
  ['auto', 'a new serverdir', NEW, URL_GIVEN, `replica of ${URL_GIVEN}`],
  ['auto', 'a replica', REPLICA, undefined, `replica of ${URL_STORED}`],
  ['auto', 'a replica', REPLICA, URL_GIVEN, `replica of ${URL_GIVEN}`],
  ['auto', 'a replica that knows no primary', LOST, undefined, /^invalid: a replica needs the address/],
  ['auto', 'a standalone server', STANDALONE, undefined, 'standalone'],
  ['auto', 'a standalone server', STANDALONE, URL_GIVEN, /^invalid: a standalone server follows nobody/],
  ['auto', 'a primary', PRIMARY, undefined, 'primary'],
  ['auto', 'a primary', PRIMARY, URL_GIVEN, /^invalid: a primary server follows nobody/],
  ['auto', 'an older serverdir', OLD, undefined, 'standalone'],
  ['auto', 'an older serverdir', OLD, URL_GIVEN, /^invalid: a standalone server follows nobody/],
  ['replica', 'a new serverdir', NEW, URL_GIVEN, `replica of ${URL_GIVEN}`],
  ['replica', 'a new serverdir', NEW, undefined, /^invalid: a replica needs the address/],
  ['replica', 'a replica', REPLICA, undefined, `replica of ${URL_STORED}`],
  ['replica', 'a standalone server', STANDALONE, URL_GIVEN, `replica of ${URL_GIVEN}, if it was promoted`],
  ['replica', 'a primary', PRIMARY, URL_GIVEN, `replica of ${URL_GIVEN}, if it was promoted`],
  ['replica', 'an older serverdir', OLD, URL_GIVEN, `replica of ${URL_GIVEN}, if it was promoted`],
  ['replica', 'a standalone server', STANDALONE, undefined, /^conflict: this serverdir has a history of its own/],
  ['replica', 'a primary', PRIMARY, undefined, /^conflict: this serverdir has a history of its own/],
  ['primary', 'a new serverdir', NEW, undefined, 'primary'],
  ['primary', 'a standalone server', STANDALONE, undefined, 'primary'],
  ['primary', 'a primary', PRIMARY, undefined, 'primary'],
  ['primary', 'an older serverdir', OLD, undefined, 'primary'],
  ['primary', 'a new serverdir', NEW, URL_GIVEN, /^invalid: a primary server follows nobody/],
  ['primary', 'a replica', REPLICA, undefined, /^conflict: this serverdir is that of a replica/],
  ['standalone', 'a primary', PRIMARY, undefined, 'standalone'],
  ['standalone', 'a replica', REPLICA, undefined, /^conflict: this serverdir is that of a replica/],
  ['auto', 'a role of a later release', { ...OLD, role: 'witness' }, undefined, /^conflict: this serverdir is that of a witness, which this release/],
])('%s in %s', (asked, _, stored, primaryUrl, wanted) => {
  const found = outcome({ asked, primaryUrl, stored })
  if (typeof wanted === 'string') expect(found).toBe(wanted)
  else expect(found).toMatch(wanted)
})
