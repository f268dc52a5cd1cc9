/** The magic's wheel, found by extension/rspack.config.js; the value is its URL. */
declare module 'jupyterlite-torch-magic.whl' {
  const url: string;
  export default url;
}
