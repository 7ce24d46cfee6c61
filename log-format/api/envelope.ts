/** What replies look like on the wire. Types only: the server writes them, clients read them. */

/** `X-DEVPI-API-VERSION`; clients refuse to talk to any other. */
export type ApiVersion = '2'

/** What `result` is; clients refuse a reply of another type than the one they asked for. */
export type ResultType =
  | 'apiconfig'
  | 'proxyauth'
  | 'list:userconfig'
  | 'userconfig'
  | 'userpassword'
  | 'list:tokenconfig'
  | 'tokenconfig'
  | 'list:groupconfig'
  | 'groupconfig'
  | 'indexconfig'
  | 'projectconfig'
  | 'versiondata'
  | 'releasefilemeta'
  | 'toxresultpath'
  | 'toxresults'
  | 'actionlog'
  | 'status'
  | 'changes'
  | 'why'
  | 'policysimulation'

/** A reply with data. `message` is for people. */
export interface ResultEnvelope<R = unknown> {
  readonly type: ResultType
  readonly result: R
  readonly message?: string
}

/** A reply without data: what was done, or why it was declined. */
export interface MessageEnvelope {
  readonly message: string
}

export type Envelope<R = unknown> = ResultEnvelope<R> | MessageEnvelope

/** A refusal of the forms `status` and `reason`: `code` is the number and the reason phrase, `title` the phrase. */
export interface StatusEnvelope extends MessageEnvelope {
  readonly code: string
  readonly title: string
}

/** `meta` of the simple API (PEP 629); `_last-serial` is an extension that mirrors understand. */
export interface SimpleMetaJson {
  readonly 'api-version': string
  readonly '_last-serial'?: number
}

export type HashesJson = Readonly<Record<string, string>>

/** One file of a project page: PEP 691, 700, 714, 740. */
export interface SimpleFileJson {
  readonly filename: string
  readonly url: string
  readonly hashes: HashesJson
  readonly 'requires-python'?: string
  readonly size?: number
  readonly 'upload-time'?: string
  readonly yanked?: boolean | string
  readonly 'core-metadata'?: boolean | HashesJson
  /** An older name of `core-metadata`, as the public index spells it. */
  readonly 'data-dist-info-metadata'?: boolean | HashesJson
  readonly provenance?: string
}

/** `application/vnd.pypi.simple.v1+json` of a project. */
export interface SimpleProjectJson {
  readonly meta: SimpleMetaJson
  readonly name: string
  readonly 'project-status'?: { readonly status: string; readonly reason?: string }
  readonly versions: readonly string[]
  readonly files: readonly SimpleFileJson[]
}

/** `application/vnd.pypi.simple.v1+json` of an index. */
export interface SimpleListJson {
  readonly meta: SimpleMetaJson
  readonly projects: readonly { readonly name: string }[]
}
