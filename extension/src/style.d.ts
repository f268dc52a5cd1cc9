/** Style sheets that are loaded when they are needed; see rspack.config.js. */
declare module 'jupyterlite-torch-style/*.css';
