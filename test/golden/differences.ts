/** A difference from the reference that is on purpose. W-numbers are those of the specification's list of warts. */
export interface IntendedDifference {
  /** Steps of the recordings, `recording: step`. */
  readonly steps: RegExp
  /** Where, see `compare.ts`. */
  readonly at: RegExp
  readonly because: string
}

export const INTENDED: readonly IntendedDifference[] = [
  {
    steps: /: login|user patch password/,
    at: /^\/result\/password$/,
    because: 'the token is opaque, and another one each time',
  },
  {
    steps: /simple (list|project).*json|pip accept|no slash pip|pep691/,
    at: /^\/meta\/api-version$/,
    because: 'simple API 1.4 instead of 1.0 (W32)',
  },
  {
    steps: /simple project.*(json|pip accept)/,
    at: /^\/(versions|files\/\d+\/(size|upload-time|core-metadata|data-dist-info-metadata))$/,
    because: 'simple API 1.4 tells versions, sizes, upload times and core metadata (W32)',
  },
  {
    steps: /simple project|project url with pip agent/,
    at: /^links$/,
    because: 'wheels announce their core metadata (PEP 658, 714; W32)',
  },
  {
    steps: /(project|version) json/,
    at: /\/(author|author_email|description|home_page|license)$/,
    because: 'what the form leaves out is read from the METADATA or PKG-INFO of the file itself (W52)',
  },
  {
    steps: /simple list (application\/json|vnd html)/,
    at: /^body$/,
    because: 'a page of a valid type instead of text_html, for which the recording has only a hash (W24)',
  },
  { steps: /status/, at: /^\/result\/outside-url$/, because: 'where the server lives is shown to root only (W9)' },
  { steps: /status/, at: /^\/result\/(digest|epoch)$/, because: 'where nodes can be compared, and who is the primary, is said to monitors' },
  { steps: /changelog disabled without primary role/, at: /^status$/, because: 'every server sends its log, to replicas that prove to be some: 401 to all others' },
  { steps: /status/, at: /^\/result\/metrics$/, because: 'the metrics of another machinery' },
  { steps: /OPTIONS root/, at: /^status$/, because: '405 with Allow for a method that an address does not have (W23)' },
  {
    steps: /project json unnormalised/,
    at: /^body$/,
    because: 'a redirect has its address in Location, and no body that would repeat it',
  },
  { steps: /project any accept/, at: /^\/message$/, because: 'names the type, not an object of the implementation (W43)' },
  { steps: /download sdist range/, at: /^status$/, because: 'ranges are served (W25)' },
  { steps: /download sdist if-modified-since/, at: /^status$/, because: 'conditional requests are answered (W25)' },
  { steps: /metadata sibling/, at: /^status$/, because: 'core metadata is served beside the wheel (PEP 658, W32)' },
  { steps: /toxresult post to missing file/, at: /^status$/, because: '404 instead of 500 (W22)' },
  { steps: /doc upload no version/, at: /^status$/, because: 'an empty version is an absent one: the newest (W39)' },
  {
    steps: /push to staging again|push only docs/,
    at: /^status$/,
    because: 'to push what is there already with the same bytes is a success (W19)',
  },
  {
    steps: /push with PUSH method/,
    at: /^\/result$/,
    because: 'documentation without a version went to the newest version, 1.1 (W39), and is pushed with it',
  },
  {
    steps: /project json inherited/,
    at: /\+links$/,
    because: 'documentation without a version went to the newest version, 1.1 (W39), and is listed there',
  },
  {
    steps: /remove version|remove project on non-volatile|force remove version/,
    at: /^\/message$/,
    because: 'plain names instead of object representations (W43)',
  },
  { steps: /delete index again/, at: /^status$/, because: 'a missing index is 404, not 403 (W46)' },
  {
    steps: /api after own user deleted|old token still valid/,
    at: /^\/result\/authstatus\/[01]$/,
    because: 'deleting a user and changing a password end its tokens (W10), and +api says so (W55)',
  },
  {
    steps: /delete user again|no auth/,
    at: /^\/message$/,
    because: 'the sentence without the traceback-like text of the framework (W43)',
  },
  {
    steps: /add op on (scalar|absent key)|list with non-string|string body/,
    at: /^status$/,
    because: '400 with a sentence instead of 500 (W22)',
  },
  {
    steps: /noop dict, error_on_noop/,
    at: /^status$/,
    because: 'error_on_noop compares results, so it also finds a dictionary that changes nothing (W29)',
  },
]
