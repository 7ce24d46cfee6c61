import type { Context } from './base-command.js'
import { Failure } from './failure.js'
import type { Target } from './place.js'
import { messageOf } from './reply.js'

/**
 * Tells whether the selected index is there and may be read, and what to do
 * about it if not. An index that is missing or closed is no failure: it may come.
 */
export async function reportIndexAccess({ client, terminal }: Context, { index, root }: Target): Promise<void> {
  if (index === undefined) return
  const reply = await client.api('GET', `${index}?no_projects=`, { tolerate: 'all', checkVersion: false })
  const { status, reason } = reply
  if (status < 400) return
  const message = messageOf(reply)
  terminal.error(`${status} ${reason}${message === undefined ? '' : `: ${message}`}`)
  if (status === 404) terminal.warn('Connected index does not exist.')
  else if (status === 401 || status === 403) {
    if (client.loginFor(root) === undefined) terminal.note('You might have to login first to access this index.', 'bold')
    else terminal.warn("You don't have permission to access this index.")
  } else throw new Failure(`HTTP_${status}`, `Unhandled status code ${status} ${reason}`)
}

/** What `use` and `login` say after the name of a server or index. */
export function loginText(user: string | undefined): string {
  return user === undefined ? 'not logged in' : `logged in as ${user}`
}

/**
 * Who is logged in there, as the server sees it. A login that it does not
 * accept any more is forgotten, and the user told.
 */
export async function confirmedUser({ client, session, terminal }: Context, root: string): Promise<string | undefined> {
  const login = client.loginFor(root)
  if (login === undefined) return undefined
  const { state, user } = await client.loginState(login)
  if (state === 'ok') return login.user === '__token__' ? (user ?? login.user) : login.user
  if (login.fromNetrc) return undefined // a proxy may know it
  if (login.fromEnvironment) {
    terminal.warn(`the credentials of the environment are not accepted by ${root}: ${state}`)
    return undefined
  }
  await session.logOff(root, login.user)
  terminal.error('removed expired authentication information')
  terminal.note(`login of '${login.user}' expired, log in again with \`devpi login ${login.user}\``)
  return undefined
}
