import { readFile } from 'node:fs/promises'
import { Refusal } from '#log-format/api/refusal.js'
import type { ProxySettings } from '#server/upstream/proxies.js'
import { UsageError } from './usage-error.js'

type Environment = Readonly<Record<string, string | undefined>>

/**
 * The proxies that the environment names as other programs read it: of each
 * variable the spelling in small letters first. Empty values count as not set.
 */
export function proxiesIn(env: Environment): ProxySettings {
  const http = proxyIn(env, 'http_proxy') ?? proxyIn(env, 'all_proxy')
  const https = proxyIn(env, 'https_proxy') ?? proxyIn(env, 'all_proxy')
  const [, except = ''] = variable(env, 'no_proxy') ?? []
  return {
    ...(http !== undefined && { http }),
    ...(https !== undefined && { https }),
    except: except.split(/[\s,]+/).filter((part) => part !== ''),
  }
}

/** The file with the certificates of authorities that are believed instead of the built-in ones. */
export function caBundleIn(env: Environment): string | undefined {
  return (variable(env, 'requests_ca_bundle') ?? variable(env, 'curl_ca_bundle'))?.[1]
}

/** Refuses `invalid` what is no file of certificates, before anybody is asked without them. */
export async function readCaBundle(path: string): Promise<string> {
  const text = await readFile(path, 'utf8').catch(() => undefined)
  if (text?.includes('-----BEGIN CERTIFICATE-----') === true) return text
  throw new Refusal('invalid', `${path}, which the environment names as the bundle of certificate authorities, is no readable file of PEM certificates`)
}

function proxyIn(env: Environment, name: string): string | undefined {
  const [spelled, value] = variable(env, name) ?? []
  if (spelled === undefined || value === undefined) return undefined
  const text = /^[a-z][a-z0-9+.-]*:\/\//i.test(value) ? value : `http://${value}`
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url !== undefined && /^https?:$/.test(url.protocol) && url.hostname !== '' && isDecodable(url)) return url.href
  throw new UsageError(`${spelled} in the environment wants the http or https address of a proxy`) // which may hold a password
}

function isDecodable({ username, password }: URL): boolean {
  try {
    decodeURIComponent(username + password)
    return true
  } catch {
    return false
  }
}

function variable(env: Environment, name: string): readonly [spelled: string, value: string] | undefined {
  for (const spelled of [name, name.toUpperCase()]) {
    const value = env[spelled]?.trim()
    if (value !== undefined && value !== '') return [spelled, value]
  }
  return undefined
}
