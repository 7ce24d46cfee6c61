// Runs on `npm install`, `npm ci` and `npm pack`. An installed tarball or a production install has no compiler: nothing
// to do there.
import { asCommand, finishInstall } from './set-up.js'

await asCommand(finishInstall)
