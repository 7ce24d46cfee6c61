import { existsSync, readFileSync, statSync } from 'node:fs'
import type { OptionsInit, RequestError } from 'got'
import { Failure, interruption } from './failure.js'
import { proxyAgents, proxyFor } from './proxy.js'
import type { Session } from './session.js'
import { codeOf } from './system-faults.js'
import { maskUrl } from './urls.js'

/** Certificates and proxies of a connection to `url`, out of what was stored for its server and out of the environment. */
export function connectionOptions(url: string, session: Session, env: NodeJS.ProcessEnv): Pick<OptionsInit, 'https' | 'agent'> {
  const proxy = proxyFor(url, env)
  const agent = proxy === undefined ? {} : { agent: proxyAgents(proxy) }
  if (!url.startsWith('https:')) return agent
  const { caCert, insecure } = session.settingsFor(url)
  const authority = caCert ?? authorityOf(env)
  const certificate = session.clientCertFor(url)
  return {
    ...agent,
    https: {
      ...(authority !== undefined && { certificateAuthority: readPem(authority, 'CA certificate') }),
      ...(certificate !== undefined && { certificate: readPem(certificate, 'client certificate'), key: readPem(certificate, 'client certificate', 'PRIVATE KEY') }),
      ...(insecure === true && { rejectUnauthorized: false }),
    },
  }
}

/** A file of certificates that is trusted instead of the system's; folders of them are not read. */
function authorityOf(env: NodeJS.ProcessEnv): string | undefined {
  const named = ['REQUESTS_CA_BUNDLE', 'CURL_CA_BUNDLE', 'SSL_CERT_FILE'].map((name) => env[name]).find((value) => value !== undefined && value !== '')
  return named !== undefined && existsSync(named) && statSync(named).isFile() ? named : undefined
}

function readPem(path: string, what: string, section = 'CERTIFICATE'): Buffer {
  let pem: Buffer
  try {
    pem = readFileSync(path)
  } catch (error) {
    throw new Failure('CONFIG', `The ${what} at '${path}' doesn't exist.`, { cause: error })
  }
  if (new RegExp(`^-----BEGIN (?:[A-Z]+ )*${section}-----`, 'm').test(pem.toString('latin1'))) return pem
  throw new Failure('CONFIG', `The ${what} at '${path}' holds no ${section === 'CERTIFICATE' ? 'certificate' : 'private key'} in PEM form.`)
}

const TLS_CODE = /^(CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_|ERR_TLS_|HOSTNAME_MISMATCH|ERR_SSL_TLSV)/

/** What a request that got no answer says to a person: what happened, and what to try. */
export function connectionFailure(error: unknown, method: string, url: string): unknown {
  if (error instanceof Failure || !isRequestError(error)) return error
  const shown = maskUrl(url)
  const code = error.code
  if (code === 'ERR_ABORTED') return interruption(error)
  const reason = error.message === '' ? code : maskUrl(withoutOrigin(error.message))
  const options = { cause: error, request: { method, url: shown } }
  if (TLS_CODE.test(code)) {
    return new Failure('TLS', `SSL verification failed '${shown}':\n${reason}`, {
      ...options,
      hint: certificateHint(code, url),
    })
  }
  return new Failure('CONNECT', `could not connect to '${shown}':\n${reason}`, { ...options, hint: connectHint(code, url) })
}

/** What OpenSSL says, without the place in its source where it says it. */
function withoutOrigin(message: string): string {
  return message.replace(/\b[0-9A-F]+:error:[0-9A-F]+:([^:]*):[^:]*:([^:]*):\S*\s*$/, '$1: $2')
}

function certificateHint(code: string, url: string): string {
  const { origin, hostname } = new URL(url)
  if (code === 'CERT_HAS_EXPIRED') return 'its time is over, or the clock of this machine is wrong'
  if (code === 'CERT_NOT_YET_VALID') return 'its time has not come, or the clock of this machine is wrong'
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') return `the certificate is not for ${hostname}: use a name that it is for`
  return `trust its authority with \`devpi use --ca-cert FILE ${origin}\``
}

function connectHint(code: string, url: string): string | undefined {
  const { host, protocol } = new URL(url)
  if (code === 'ECONNREFUSED') return `nothing listens on ${host}: start the server, or select another with \`devpi use URL\``
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return `no address is known for ${host}: check its name and your network`
  if (code === 'EPROTO' || (code === 'ECONNRESET' && protocol === 'https:')) return `does the server speak https? try \`devpi use http://${host}\``
  if (code === 'ECONNRESET') return `${host} ends the connection without an answer: is that the right port? does it want https?`
  if (code.startsWith('HPE_')) return `what answers at ${host} speaks no HTTP: is that the right port?`
  if (code === 'ETIMEDOUT') return `${host} does not answer in time: check your network and proxy settings, or allow more with --timeout SECONDS`
  return undefined
}

function isRequestError(error: unknown): error is RequestError {
  return error instanceof Error && codeOf(error) !== undefined && 'options' in error
}
