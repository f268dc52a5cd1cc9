/** Stands for the wheel, which the bundler of the extension gives an address. */

export default 'magic/jupyterlite_torch_magic-0.0.0-py3-none-any.whl';
