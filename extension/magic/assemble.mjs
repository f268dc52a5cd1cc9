// Makes WebAssembly of the text of loops.wat: `node assemble.mjs FILE`. wabt is the WebAssembly group's
// own assembler, and has 5 MB; what compiles AssemblyScript has 100.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import makeWabt from 'wabt';

const source = new URL('loops.wat', import.meta.url);
const [target] = process.argv.slice(2);
const wabt = await makeWabt();
const module = wabt.parseWat(source.pathname, readFileSync(source, 'utf8'), { simd: true });
module.validate();
mkdirSync(dirname(target), { recursive: true });
writeFileSync(target, module.toBinary({}).buffer);
