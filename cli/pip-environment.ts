import { devNull } from 'node:os'
import type { Context } from './base-command.js'
import type { IndexTarget } from './place.js'
import { withCredentials } from './urls.js'

/** Address of the index for installers, with what they need to read it. It goes into the environment of a child and nowhere else. */
export function installerUrl({ client }: Context, { simpleindex }: IndexTarget): string {
  const credentials = client.credentialsFor(simpleindex)
  return credentials === undefined ? simpleindex : withCredentials(simpleindex, credentials)
}

/** What makes pip and uv ask this index. */
export function installerEnvironment(context: Context, target: IndexTarget): Record<string, string | undefined> {
  const url = installerUrl(context, target)
  const { caCert, insecure } = context.session.settingsFor(target.simpleindex)
  return {
    PIP_INDEX_URL: url,
    ...(caCert !== undefined && { PIP_CERT: caCert }),
    ...(context.netrc.isOff && { NETRC: devNull }),
    ...(insecure === true && { PIP_TRUSTED_HOST: new URL(url).host }),
  }
}
