/** The panel's style, which extension/rspack.config.js finds. */
declare module 'jupyterlite-torch-panel.css';
