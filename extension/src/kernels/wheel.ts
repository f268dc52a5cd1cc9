/** Has every Pyodide kernel of the page load the magic's wheel. */

import { PageConfig } from '@jupyterlab/coreutils';

const KERNEL = '@jupyterlite/pyodide-kernel-extension:kernel';
const DISTRIBUTION = 'jupyterlite-torch-magic';

/**
 * Must run before the plugins are activated: the kernel's plugin (pyodide-kernel 0.8.6) reads its
 * settings once, then. The wheel's startup file is unpacked to /etc/ipython/startup, where IPython
 * runs it.
 */
export function loadWheelInKernels(wheelUrl: string): void {
  const text = PageConfig.getOption('litePluginSettings');
  PageConfig.setOption('litePluginSettings', withWheel(text, wheelUrl));
}

/** The settings, as JSON, with the wheel among the packages that Pyodide loads. */
export function withWheel(settings: string, wheelUrl: string): string {
  const all = JSON.parse(settings || '{}');
  const kernel = (all[KERNEL] ??= {});
  const options = (kernel.loadPyodideOptions ??= {});
  const packages = new Set<string>(options.packages);
  // A site whose lock has the wheel may name it; two copies would be one too many.
  if (!packages.has(DISTRIBUTION)) {
    packages.add(wheelUrl);
  }
  options.packages = [...packages];
  return JSON.stringify(all);
}
