/** Finds the notebook or console that a kernel belongs to. */

import type { Session } from '@jupyterlab/services';

export function pathOf(sessions: Session.IManager, kernelId: string): string | null {
  for (const session of sessions.running()) {
    if (session.kernel?.id === kernelId) {
      return session.path;
    }
  }
  return null;
}

/**
 * The same for a kernel that was just added: JupyterLite 0.8.6 adds the session after its kernel,
 * and the session manager learns of it later still.
 */
export async function waitForPath(
  sessions: Session.IManager,
  kernelId: string,
  limitMs = 3000
): Promise<string | null> {
  const end = Date.now() + limitMs;
  for (;;) {
    await sessions.refreshRunning().catch(() => {});
    const path = pathOf(sessions, kernelId);
    if (path !== null || Date.now() > end) {
      return path;
    }
    await new Promise(resolve => setTimeout(resolve, 50));
  }
}
