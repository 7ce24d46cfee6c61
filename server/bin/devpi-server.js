#!/usr/bin/env node
import { launch, manageInBackground } from './launch.js'

const args = process.argv.slice(2)
if (!(await manageInBackground(args))) await launch('serve')
