import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';

import { Widget } from '@lumino/widgets';

import { dialog, eventually, press } from '../../testing/jupyterlab';
import { buttonOf, PanelOfPage, rowOf, rowsOf } from '../../testing/panel';
import { serve, type IAnswer, type IRequest } from '../../testing/server';
import type { ISession } from '../status/server-status';
import type { IVariable } from './control';
import { VariablesSection } from './variables-section';

const SMALL = { name: 'count', type: 'int', bytes: 28 };
const WEIGHTS = {
  name: 'weights',
  type: 'Tensor',
  bytes: 2 ** 21,
  shape: [1024, 512],
  dtype: 'torch.float32',
  device: 'cuda:0',
  requires_grad: true
};

let variables: IVariable[];
let refusal: IAnswer | null;
const server = await serve(answer);
let panel: PanelOfPage;
let section: VariablesSection;

beforeEach(() => {
  variables = [SMALL, WEIGHTS];
  refusal = null;
  server.requests.length = 0;
  panel = new PanelOfPage();
  panel.session = 'session-one';
  section = new VariablesSection(panel);
  Widget.attach(section, document.body);
});
afterEach(async () => {
  section.dispose();
  await panel.close();
});

function answer({ method, path, body }: IRequest): IAnswer {
  if (refusal) {
    return refusal;
  }
  if (path.endsWith('/preview')) {
    return { body: { text: `${JSON.parse(body).name} = [1, 2`, truncated: true } };
  }
  if (method === 'DELETE') {
    const names = JSON.parse(body).names as string[];
    const deleted = names.filter(name => variables.some(variable => variable.name === name));
    variables = variables.filter(({ name }) => !names.includes(name));
    return { body: { deleted } };
  }
  return { body: { variables, count: variables.length } };
}

/** The server has said this of the session. */
function tell(session: Partial<ISession>): void {
  panel.connect(server.url, session);
  section.refresh();
}

async function show(): Promise<void> {
  tell({ seq: 1 });
  await eventually(() => rowsOf(section).length);
}

const names = () => rowsOf(section).map(([name]) => name);
const number = () => section.node.querySelector('.jp-Torch-filter span')!.textContent;
const preview = () => section.node.querySelector('pre')!.textContent;
const line = () => section.node.querySelector('[role=status]')!;
const asked = () => server.requests.filter(({ path }) => path.endsWith('/variables')).length;
/** After what was asked before has arrived. */
const arrived = () => panel.control.sessions();
const ACTIONS = ['Preview', 'Copy name', 'Fetch', 'Delete…'];
const enabled = () => ACTIONS.filter(label => !buttonOf(section, label).disabled);

test('the variables of the session in front, the largest first, and some by a word', async () => {
  await show();
  assert.deepEqual(rowsOf(section), [
    ['weights', '2.0 MiB', 'torch.float32', '(1024, 512)', 'cuda:0', 'yes'],
    ['count', '28 B', 'int', '', '', '']
  ]);
  assert.equal(server.requests[0]!.headers['torch-session'], 'session-one');
  const filter = section.node.querySelector('input')!;
  for (const [word, found] of [
    ['COUNT', ['count']],
    [' float32 ', ['weights']],
    ['tensor', ['weights']],
    ['nothing', []]
  ] as const) {
    filter.value = word;
    filter.dispatchEvent(new Event('input'));
    assert.deepEqual(names(), found);
    assert.equal(number(), `${found.length} of 2`);
  }
  filter.value = '';
  filter.dispatchEvent(new Event('input'));
  assert.equal(number(), '2');
});

test('they are asked for again when something has happened there, or by a button', async () => {
  await show();
  tell({ seq: 1 });
  await arrived();
  assert.equal(asked(), 1);
  variables = [SMALL];
  tell({ seq: 2 });
  await eventually(() => rowsOf(section).length === 1);
  variables = [WEIGHTS];
  tell({ seq: 2, generation: 2 });
  await eventually(() => names()[0] === 'weights');
  variables = [];
  buttonOf(section, 'Refresh').click();
  await eventually(() => !rowsOf(section).length);
  assert.equal(asked(), 4);
});

test('those of another session, or of none, are not shown', async () => {
  await show();
  panel.session = 'session-two';
  variables = [SMALL];
  tell({ seq: 1 });
  assert.deepEqual(names(), []);
  await eventually(() => names()[0] === 'count');
  assert.equal(server.requests.at(-1)!.headers['torch-session'], 'session-two');
  // As long as nobody knows whether the server is there.
  panel.status = { state: 'lost', url: server.url, retryAt: 0 };
  section.refresh();
  assert.deepEqual(names(), ['count']);
  panel.session = null;
  tell({});
  assert.deepEqual(names(), []);
  await arrived();
  assert.equal(asked(), 2);
});

test('the beginning of a variable, until another one is selected', async () => {
  await show();
  assert.deepEqual(enabled(), []);
  rowOf(section, 'weights').click();
  assert.deepEqual(enabled(), ACTIONS);
  buttonOf(section, 'Preview').click();
  await eventually(preview);
  assert.equal(preview(), 'weights = [1, 2… (cut)');
  rowOf(section, 'count').click();
  assert.equal(preview(), '');
  rowOf(section, 'count').dispatchEvent(new MouseEvent('dblclick', { bubbles: true }));
  await eventually(preview);
  assert.equal(preview(), 'count = [1, 2… (cut)');
});

test('one is deleted when the person is sure, and what went wrong is said', async () => {
  await show();
  rowOf(section, 'weights').click();
  buttonOf(section, 'Delete…').click();
  const { textContent } = await dialog();
  assert.match(textContent, /as del weights in such a cell does/);
  await press('Cancel');
  await eventually(() => !document.querySelector('.jp-Dialog'));
  await arrived();
  assert.ok(!server.requests.some(({ method }) => method === 'DELETE'));
  buttonOf(section, 'Delete…').click();
  await press('Delete');
  await eventually(() => rowsOf(section).length === 1);
  assert.equal(line().textContent, 'Deleted weights.');
  assert.deepEqual(enabled(), []);

  rowOf(section, 'count').click();
  refusal = { status: 409, body: { message: 'A cell runs in this session.' } };
  buttonOf(section, 'Delete…').click();
  await press('Delete');
  await eventually(() => line().textContent === 'A cell runs in this session.');
  assert.ok(line().classList.contains('jp-Torch-fault'));
  assert.deepEqual(names(), ['count']);
  // The next answer takes it away.
  refusal = null;
  tell({ seq: 5 });
  await eventually(() => !line().textContent);
  assert.ok(!line().classList.contains('jp-Torch-fault'));
});

test('one is brought to the notebook in front, or its name copied', async () => {
  await show();
  rowOf(section, 'weights').click();
  buttonOf(section, 'Fetch').click();
  await eventually(() => line().textContent);
  assert.match(line().textContent, /^Bring a notebook to the front first/);
  assert.ok(line().classList.contains('jp-Torch-fault'));
  const sources: string[] = [];
  const sharedModel = { setSource: (source: string) => sources.push(source) };
  panel.shell.currentWidget = { content: { activeCell: { model: { sharedModel } } } };
  panel.commands.addCommand('notebook:insert-cell-below', { execute: () => {} });
  panel.commands.addCommand('notebook:run-cell', { execute: () => {} });
  buttonOf(section, 'Fetch').click();
  await eventually(() => line().textContent === 'A cell of the notebook fetches weights.');
  assert.deepEqual(sources, ['%%torch -o weights\n']);
  buttonOf(section, 'Copy name').click();
  await eventually(() => line().textContent === 'Copied weights.');
  assert.equal(await navigator.clipboard.readText(), 'weights');
});
