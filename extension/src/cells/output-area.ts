/** The output areas of JupyterLab: finds the one of a cell, and asks for input in it. */

import type { OutputArea } from '@jupyterlab/outputarea';
import type { Kernel } from '@jupyterlab/services';
import type { Widget } from '@lumino/widgets';

/** What a cell's output area asks. */
export interface IInlineQuestion {
  prompt: string;
  password: boolean;
  /** Called with the text, exactly as it was typed. */
  onAnswer: (value: string) => void;
  /** The field has gone without an answer: its outputs were cleared, or its cell was deleted. */
  onGone: () => void;
}

/** Where a cell shows its outputs, and what its notebook talks to the local kernel with. */
export interface IOutputs {
  area: OutputArea;
  kernel: Kernel.IKernelConnection | null;
}

/**
 * The outputs of the cell that sent an `execute_request`.
 *
 * One walk finds the cells of notebooks and consoles in every app; the repl has a tracker for
 * neither (JupyterLite 0.8.6).
 */
export function findOutputs(root: Widget, msgId: string): IOutputs | null {
  const { widgets, outputArea, sessionContext } = root as Partial<{
    widgets: unknown;
    outputArea: OutputArea;
    sessionContext: { session: { kernel: Kernel.IKernelConnection | null } | null };
  }>;
  if (outputArea) {
    return outputArea.future?.msg.header.msg_id === msgId
      ? { area: outputArea, kernel: null }
      : null;
  }
  // A notebook's layout can hold the cells in view only; its `widgets` are all of them.
  const children: Iterable<Widget> = Array.isArray(widgets) ? widgets : root.children();
  for (const child of children) {
    const found = findOutputs(child, msgId);
    if (found) {
      return { area: found.area, kernel: found.kernel ?? sessionContext?.session?.kernel ?? null };
    }
  }
  return null;
}

/**
 * Ask with JupyterLab's own field for `input()`. Returns a function that takes it away, or null
 * where it can not be seen (collapsed outputs) or this version of JupyterLab has no such field.
 *
 * `OutputArea.onInputRequest` (4.6) is there for subclasses, and `protected` in TypeScript. It puts
 * the field below the outputs, and the line with the answer into them; the answer it gives to the
 * future.
 */
export function askInline(
  { area, kernel }: IOutputs,
  question: IInlineQuestion
): (() => void) | null {
  type OnInputRequest = (msg: object, future: Pick<Kernel.IShellFuture, 'sendInputReply'>) => void;
  const { onInputRequest } = area as unknown as { onInputRequest?: OnInputRequest };
  if (!area.isAttached || !onInputRequest) {
    return null;
  }
  let field: Widget | null = null;
  let open = true;
  // A local cell that waits for input keeps JupyterLab from running others, which it says when
  // somebody tries. What asks after its cell has ended, in the background, keeps nobody.
  const wait = (waits: boolean) => {
    if (kernel && !kernel.isDisposed && !(waits && area.future?.isDisposed)) {
      kernel.hasPendingInput = waits;
    }
  };
  const close = () => {
    open = false;
    wait(false);
  };
  const take = (_: OutputArea, stdin: Widget) => {
    field = stdin;
    // A browser that offers to save it would fill it in on every other page of the origin.
    stdin.node.querySelector('input')?.setAttribute('autocomplete', 'off');
    stdin.disposed.connect(() => {
      if (open) {
        close();
        question.onGone();
      }
    });
  };
  const { prompt, password } = question;
  const future: Pick<Kernel.IShellFuture, 'sendInputReply'> = {
    sendInputReply: content => {
      if (open) {
        close();
        question.onAnswer(content.status === 'ok' ? content.value : '');
      }
    }
  };
  area.inputRequested.connect(take);
  try {
    const header = area.future?.msg.header;
    onInputRequest.call(area, { header, content: { prompt, password } }, future);
  } finally {
    area.inputRequested.disconnect(take);
  }
  wait(true);
  return () => {
    close();
    field?.parent?.dispose();
  };
}
