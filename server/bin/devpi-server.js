#!/usr/bin/env node
import { launch, manageInBackground } from './launch.js'

const args = process.argv.slice(2)
if (args[0] === 'promote') await launch('promote', args.slice(1))
else if (!(await manageInBackground(args))) await launch('serve')
