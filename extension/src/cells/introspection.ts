/**
 * Completions and tooltips in `%%torch` cells come from the remote kernel.
 *
 * Whoever asks a kernel, be it the completer, the tooltip of Shift-Tab or the contextual help, in
 * notebooks and in consoles, ends in two methods of the kernel's connection, which are public, and
 * gives them the whole cell. Another provider of completions would be asked beside the local
 * kernel's and not in its place: its matches would be mixed with those of local names, and come when
 * the local kernel has been waited for, which does not answer while a cell runs. The tooltip knows no
 * providers (JupyterLab 4.6).
 */

import type { Kernel, KernelMessage } from '@jupyterlab/services';

import type { KnownServer } from '../connect/known-server';
import type { Lines } from '../kernels/lines';
import type { IQuestion } from './remote-introspection';
import { magicLineOf } from './torch-cell';

/** What both requests have in common. */
interface IContent {
  code: string;
  /** In code points. */
  cursor_pos: number;
}

export function addIntrospection(kernels: Kernel.IManager, known: KnownServer, lines: Lines): void {
  /** What to ask the remote kernel; null for what is the local one's. */
  const questionOf = (kernelId: string, content: IContent): IQuestion | null => {
    const { code, cursor_pos } = content;
    const server = known.get();
    const session = lines.sessionOf(kernelId);
    const line = magicLineOf(code);
    if (!server || session === null || !line) {
      return null;
    }
    const cut = [...code.slice(0, line.end)].length;
    // The magic's own line is the magic's, which is of this side.
    return cursor_pos < cut || code[line.end - 1] !== '\n'
      ? null
      : { server, session, content: { ...content, code: code.slice(line.end) }, cut };
  };
  const connectTo = kernels.connectTo;
  kernels.connectTo = options => {
    const kernel = connectTo.call(kernels, options);
    const { requestComplete, requestInspect } = kernel;
    kernel.requestComplete = content => {
      const question = questionOf(kernel.id, content);
      const local = () => requestComplete.call(kernel, content);
      return question ? ask('complete', kernel, question, local) : local();
    };
    kernel.requestInspect = content => {
      const question = questionOf(kernel.id, content);
      const local = () => requestInspect.call(kernel, content);
      return question ? ask('inspect', kernel, question, local) : local();
    };
    return kernel;
  };
}

async function ask<T extends KernelMessage.ICompleteReplyMsg | KernelMessage.IInspectReplyMsg>(
  kind: 'complete' | 'inspect',
  kernel: Kernel.IKernelConnection,
  question: IQuestion,
  local: () => Promise<T>
): Promise<T> {
  const { askRemote } = await import('./remote-introspection');
  const reply = await askRemote(kind, kernel, question);
  return reply ? (reply as T) : local();
}
