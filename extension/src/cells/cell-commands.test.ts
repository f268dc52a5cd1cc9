import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import type { JupyterFrontEnd } from '@jupyterlab/application';
import type { ICommandPalette } from '@jupyterlab/apputils';
import { CommandRegistry } from '@lumino/commands';
import type { Widget } from '@lumino/widgets';

import { Cell, Notebook } from '../../testing/cells';
import { eventually, trans } from '../../testing/jupyterlab';
import { addCellCommands } from './cell-commands';

const TOGGLE = 'jupyterlite-torch:toggle-cell';
const RUN_THERE = 'jupyterlite-torch:run-with-torch';

let currentWidget: Widget | null;
let commands: CommandRegistry;
let items: string[];

beforeEach(() => {
  currentWidget = null;
  commands = new CommandRegistry();
  items = [];
  const addItem = ({ command }: { command: string }) => items.push(command);
  const shell = {
    get currentWidget() {
      return currentWidget;
    },
    widgets: () => [].values()
  };
  const app = { commands, shell, contextMenu: { addItem } } as unknown as JupyterFrontEnd;
  addCellCommands(app, { addItem } as unknown as ICommandPalette, trans);
});

test('what turns a cell says into what, and is off where there is none', async () => {
  assert.deepEqual(items, [TOGGLE, TOGGLE]);
  assert.ok(!commands.isEnabled(TOGGLE));
  await commands.execute(TOGGLE);
  const notebook = new Notebook(new Cell('a = 1'), new Cell('# b', { type: 'markdown' }));
  currentWidget = notebook.panel;
  assert.ok(commands.isEnabled(TOGGLE));
  assert.equal(commands.label(TOGGLE), 'Make this a %%torch cell');
  await commands.execute(TOGGLE);
  assert.deepEqual(notebook.sources, ['%%torch\na = 1', '# b']);
  assert.equal(commands.label(TOGGLE), 'Make this a local cell');
  await commands.execute(TOGGLE);
  assert.deepEqual(notebook.sources, ['a = 1', '# b']);
  notebook.activeCellIndex = 1;
  assert.ok(!commands.isEnabled(TOGGLE));
});

test('a cell is run there by its ID', async () => {
  const notebook = new Notebook(new Cell('a = 1'), new Cell('b = 1'));
  currentWidget = notebook.panel;
  let ran = 0;
  commands.addCommand('notebook:run-cell', { execute: () => ran++ });
  assert.ok(!commands.isEnabled(RUN_THERE));
  const cell = notebook.widgets[1]!.model.id;
  assert.ok(commands.isEnabled(RUN_THERE, { cell }));
  await commands.execute(RUN_THERE, { cell });
  assert.deepEqual(notebook.sources, ['a = 1', '%%torch\nb = 1']);
  assert.equal(ran, 1);
});

test('T does it where keys are commands, and is a letter where cells are written', async () => {
  const notebook = new Notebook(new Cell('a = 1'));
  currentWidget = notebook.panel;
  const node = document.createElement('div');
  node.tabIndex = 0;
  document.body.append(node);
  node.focus();
  const typeT = (className: string) => {
    node.className = `jp-Notebook ${className}`;
    node.innerHTML = '<div tabindex="0"></div>';
    const cell = node.firstElementChild as HTMLElement;
    cell.focus();
    const event = new KeyboardEvent('keydown', { key: 't', bubbles: true, cancelable: true });
    Object.assign(event, { keyCode: 84 });
    cell.addEventListener('keydown', event => commands.processKeydownEvent(event));
    cell.dispatchEvent(event);
    return event.defaultPrevented;
  };
  assert.ok(!typeT(''));
  assert.ok(!typeT('jp-mod-commandMode jp-mod-readWrite'));
  assert.ok(typeT('jp-mod-commandMode'));
  await eventually(() => notebook.sources[0] === '%%torch\na = 1');
  node.remove();
});
