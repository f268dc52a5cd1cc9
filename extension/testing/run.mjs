/**
 * `npm test`: the unit tests that stand beside the page's sources, in Node's own test runner.
 *
 * The bundler of the extension makes one program of each x.test.ts, since Node can not load
 * JupyterLab's packages: their imports have no file extensions and include pictures. Each program
 * runs in a process of its own. `npm test -- status wheel` runs those with one of the words in
 * their path.
 */

import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { rspack } from '@rspack/core';

/** Sources without a test beside them, each with what tests it. */
const WITHOUT_TEST = {
  'magic-wheel.d.ts': 'has types only',
  'style.d.ts': 'has types only',
  'cells/stop-dialog.ts': 'is tested beside cells/stop.ts'
};

const HERE = path.dirname(fileURLToPath(import.meta.url));
const SOURCES = path.join(HERE, '../src');
const PROGRAMS = path.join(HERE, '../../build/tests');

const files = readdirSync(SOURCES, { recursive: true }).filter(
  file => file.endsWith('.ts') && !file.endsWith('.d.ts')
);
const lacking = files
  .filter(file => !file.endsWith('.test.ts') && !(file in WITHOUT_TEST))
  .filter(file => !files.includes(file.replace(/\.ts$/, '.test.ts')));
if (lacking.length) {
  fail(`No unit test stands beside ${lacking.join(', ')} in extension/src: add x.test.ts to x.ts.`);
}

const words = process.argv.slice(2);
const names = files
  .filter(file => file.endsWith('.test.ts'))
  .filter(file => !words.length || words.some(word => file.includes(word)))
  .map(file => file.replace(/\.ts$/, ''))
  .sort();
if (!names.length) {
  fail(`No unit test has one of these words in its path: ${words.join(', ')}`);
}

const compiler = rspack({
  mode: 'none',
  target: ['web', 'es2022'],
  devtool: 'inline-source-map',
  entry: Object.fromEntries(
    names.map(name => [name, [path.join(HERE, 'page.ts'), path.join(SOURCES, name)]])
  ),
  output: { path: PROGRAMS, filename: '[name].mjs', module: true, clean: true },
  externalsType: 'module',
  externals: [/^node:/, '@happy-dom/global-registrator'],
  resolve: {
    extensions: ['.ts', '.js'],
    alias: {
      'jupyterlite-torch-magic.whl$': path.join(HERE, 'wheel.ts'),
      'jupyterlite-torch-style': path.join(HERE, '../style'),
      // As in rspack.config.js, where the page is not JupyterLite.
      '@jupyterlite/services$': path.join(SOURCES, 'no-jupyterlite.ts')
    }
  },
  module: {
    rules: [
      {
        test: /\.ts$/,
        loader: 'builtin:swc-loader',
        options: { jsc: { parser: { syntax: 'typescript' }, target: 'es2022' } }
      },
      { test: /\.js$/, resolve: { fullySpecified: false } },
      { test: /\.(css|svg)$/, type: 'asset/source' }
    ]
  },
  // What is loaded later in the page is in the one program here.
  optimization: { splitChunks: false },
  performance: false
});
compiler.run((error, stats) => {
  if (error || stats.hasErrors()) {
    fail(error ?? stats.toString({ all: false, errors: true }));
  }
  const programs = names.map(name => path.join(PROGRAMS, `${name}.mjs`));
  const command = ['--enable-source-maps', '--test', '--test-reporter=spec', ...programs];
  process.exit(spawnSync(process.execPath, command, { stdio: 'inherit' }).status);
});

function fail(reason) {
  console.error(String(reason));
  process.exit(1);
}
