#!/usr/bin/env node
// The compiler of npm under the command line forge expects of solc: --version and --standard-json.
'use strict';
const solc = require('solc');
if (process.argv.includes('--version')) {
  const version = solc.version().replace('Emscripten.clang', 'Linux.g++');
  console.log(`solc, the solidity compiler commandline interface\nVersion: ${version}`);
} else {
  process.stdout.write(solc.compile(require('fs').readFileSync(0, 'utf8')));
}
