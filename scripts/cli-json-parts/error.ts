import type { FailureCode } from '#cli/failure.js'
import { object, type Schema, text } from '#server/http/api-description/description.js'

/** What each code of a failure stands for. One that is not described does not compile. */
export const CODES: Readonly<Record<Exclude<FailureCode, `HTTP_${number}`> | 'HTTP_n', string>> = {
  USAGE: 'the command line cannot be meant; exit code 2',
  NO_SERVER: 'no server is selected, or none runs',
  NO_INDEX: 'no index is selected',
  NOT_LOGGED_IN: 'nobody is logged in, or the credentials are not accepted',
  LOGIN_EXPIRED: 'the login has ended',
  CONNECT: 'the server was not reached, or the connection broke',
  TLS: 'its certificate was not accepted',
  API_VERSION: 'what answers is no devpi server, or one of another version',
  HTTP_n: 'the server refused, with the status `n`',
  NOT_FOUND: 'nothing is there that matches, or it is not as announced',
  BUILD_FAILED: 'nothing could be built',
  TEST_FAILED: 'tests failed, or could not be run',
  UPLOAD_FAILED: 'not all files were uploaded',
  PUSH_FAILED: 'not all of the release was pushed',
  INSTALL_FAILED: 'the installer failed; its exit code is that of the command',
  CANCELLED: 'somebody would have to be asked, said no, or interrupted; exit code 130 for an interruption',
  CONFIG: 'a setting, a file or an argument is not as it has to be',
}

export const ERROR: Schema = object({
  code: { ...text('See below.'), pattern: `^(${Object.keys(CODES).join('|').replace('HTTP_n', String.raw`HTTP_\d{3}`)})$` },
  message: text('For people; may have several lines.'),
  'hint?': text('What to type or change next.'),
  'method?': text('Of the request that was refused or got no answer.'),
  'url?': text('Of that request, without credentials.'),
  'status?': { type: 'integer', description: 'Of the answer, if there was one.' },
})
