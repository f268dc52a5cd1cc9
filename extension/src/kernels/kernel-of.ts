/** The local kernel of a notebook or console. */

import type { Widget } from '@lumino/widgets';

/** What notebooks and consoles have in common. */
interface IWithKernel {
  sessionContext?: { session: { kernel: { id: string } | null } | null };
}

/** Its id; null for other widgets, and while there is no kernel. */
export function kernelOf(widget: Widget | null): string | null {
  return (widget as IWithKernel | null)?.sessionContext?.session?.kernel?.id ?? null;
}
