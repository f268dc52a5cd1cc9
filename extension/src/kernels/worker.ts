/** The web worker of a Pyodide kernel. */

import type { IKernel } from '@jupyterlite/services';

/** The name under which pyodide-kernel registers its kernel. */
export const PYODIDE = 'python';

/**
 * The worker, or null (with an error in the console) if this version keeps it elsewhere.
 *
 * Seen in pyodide-kernel 0.8.6: `PyodideKernel._worker`, private in TypeScript, set in the
 * constructor, null once the kernel is disposed.
 */
export function workerOf(kernel: IKernel): Worker | null {
  const worker = (kernel as unknown as { _worker?: unknown })._worker;
  if (worker instanceof Worker) {
    return worker;
  }
  console.error(
    `jupyterlite-torch: kernel ${kernel.id} has no worker where pyodide-kernel 0.8.6 keeps it, ` +
      'so %%torch gets no session and no token there. ' +
      'Use a version of jupyterlite-pyodide-kernel that jupyterlite-torch names.'
  );
  return null;
}
