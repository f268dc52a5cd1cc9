// What this labextension adds to the configuration of @jupyter/builder.

const path = require('path');
const { sharing } = require('@rspack/core');
const { version } = require('../package.json');

const wheel = path.resolve(
  __dirname,
  `../build/magic/jupyterlite_torch_magic-${version}-py3-none-any.whl`
);

module.exports = {
  resolve: {
    alias: {
      'jupyterlite-torch-magic.whl$': wheel,
      // TypeScript copies no CSS to where it puts its output. There is none that a page loads before it
      // is needed.
      'jupyterlite-torch-style': path.resolve(__dirname, 'style')
    }
  },
  module: {
    rules: [
      {
        // The file keeps its name, from which Pyodide reads the package's name and version; the
        // folder changes with the content, so that no cache hands out an old one.
        test: /\.whl$/,
        type: 'asset/resource',
        generator: { filename: 'magic/[contenthash:16]/[name][ext]' }
      }
    ]
  },
  plugins: [
    // Installed beside an ordinary JupyterLab, which has no @jupyterlite/services, this extension
    // must load and do nothing. A shared package without a fallback would fail there, and one
    // declared under `sharedPackages` would offer its fallback to other extensions too.
    new sharing.ConsumeSharedPlugin({
      consumes: {
        '@jupyterlite/services': {
          import: path.resolve(__dirname, '../build/lib/no-jupyterlite.js'),
          shareKey: '@jupyterlite/services',
          singleton: true,
          requiredVersion: false
        }
      }
    })
  ]
};
