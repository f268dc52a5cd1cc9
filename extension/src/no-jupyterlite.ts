/** Stands in for @jupyterlite/services where the page is not JupyterLite. */

import { Token } from '@lumino/coreutils';

/** A token that nobody provides: what asks for it as an option gets null. */
export const IKernelClient = new Token<never>('jupyterlite-torch:no-jupyterlite');
