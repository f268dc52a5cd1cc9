/** What the panel gives to its sections, over an app without notebooks. */

import type { JupyterFrontEnd } from '@jupyterlab/application';
import { CommandRegistry } from '@lumino/commands';

import { Control } from '../src/panel/control';
import type { IPanel } from '../src/panel/section';
import type { IGpu, ISession, Status } from '../src/status/server-status';
import { trans } from './jupyterlab';
import { LinesOfPage } from './lines';

export class PanelOfPage extends LinesOfPage implements IPanel {
  readonly commands = new CommandRegistry();
  readonly shell: { currentWidget: unknown } = { currentWidget: null };
  readonly app = this as unknown as JupyterFrontEnd;
  readonly trans = trans;
  readonly control = new Control(this.known, trans);
  status: Status = { state: 'off' };
  kernel: string | null = null;
  session: string | null = null;
  /** How many times a section has asked for the status. */
  asked = 0;

  ask(): void {
    this.asked++;
  }

  /** The page has connected to a server, which has said this. */
  connect(url: string, session: Partial<ISession> | null = null, gpus: IGpu[] = []): void {
    this.known.set({ url, token: 'secret' });
    const idle = { state: 'idle', generation: 1, seq: 0, cell_s: null, queued: 0 };
    const since = performance.now();
    this.status = { state: 'on', url, gpus, session: session && { ...idle, ...session }, since };
  }
}

/** The button with this text in a section. */
export function buttonOf({ node }: { node: HTMLElement }, label: string): HTMLButtonElement {
  const buttons = Array.from(node.querySelectorAll('button'));
  const found = buttons.find(({ textContent }) => textContent === label);
  if (!found) {
    throw new Error(`No button ${label} among ${buttons.map(({ textContent }) => textContent)}`);
  }
  return found;
}

/** What the rows of a table say, from the top. */
export function rowsOf({ node }: { node: HTMLElement }): string[][] {
  return Array.from(node.querySelectorAll('tr[data-key]'), row =>
    Array.from(row.children, ({ textContent }) => textContent ?? '')
  );
}

/** The row of a table with this key. */
export function rowOf({ node }: { node: HTMLElement }, key: string): HTMLElement {
  return node.querySelector<HTMLElement>(`tr[data-key="${key}"]`)!;
}
