/** Asks the remote kernel of a notebook for completions, or what a name stands for. */

import { KernelMessage, type Kernel } from '@jupyterlab/services';

import { resourceUrl } from '../connect/address';
import type { IServer } from '../messages';

/** A little more than the server waits for a kernel. */
const LIMIT_MS = 10_000;

export interface IQuestion {
  server: IServer;
  session: string;
  /** What the local kernel would be asked, of the cell without its first lines. */
  content: { code: string; cursor_pos: number };
  /** How many code points were cut off before that. */
  cut: number;
}

/** The reply as the local kernel would have given it; null from a server without that session. */
export async function askRemote(
  kind: 'complete' | 'inspect',
  kernel: Kernel.IKernelConnection,
  { server, session, content, cut }: IQuestion
): Promise<KernelMessage.IShellMessage | null> {
  const place = content.cursor_pos;
  // For what it says beside a match, JupyterLab (4.6) names a place behind the end.
  const cursor_pos = Math.min(place - cut, [...content.code].length);
  const asked = { ...content, cursor_pos };
  let reply: object | null = null;
  try {
    const response = await fetch(resourceUrl(server.url, kind), {
      method: 'POST',
      headers: {
        Authorization: `token ${server.token}`,
        'Content-Type': 'application/json',
        'Torch-Session': session
      },
      body: JSON.stringify(asked),
      cache: 'no-store',
      credentials: 'omit',
      signal: AbortSignal.timeout(LIMIT_MS)
    });
    if (response.status === 404) {
      return null;
    }
    reply = response.ok ? await response.json() : null;
  } catch {
    // A line that is broken. The status says so.
  }
  if (kind === 'inspect') {
    const nothing = { status: 'ok', found: false, data: {}, metadata: {} };
    return message(kernel, 'inspect_reply', reply ?? nothing);
  }
  const found = (reply ?? NO_MATCHES) as typeof NO_MATCHES;
  return message(kernel, 'complete_reply', {
    ...found,
    cursor_start: reply ? found.cursor_start + cut : place,
    cursor_end: reply ? found.cursor_end + cut : place
  });
}

const NO_MATCHES = { status: 'ok', matches: [], metadata: {}, cursor_start: 0, cursor_end: 0 };

function message(
  kernel: Kernel.IKernelConnection,
  msgType: 'complete_reply' | 'inspect_reply',
  content: object
): KernelMessage.IShellMessage {
  const { clientId: session, username } = kernel;
  const options = { msgType, channel: 'shell', session, username, content };
  // Its type knows no way to say which kind of message this is.
  return KernelMessage.createMessage(options as never) as KernelMessage.IMessage as never;
}
