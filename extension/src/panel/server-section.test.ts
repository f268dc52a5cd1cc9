import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';

import { Widget } from '@lumino/widgets';

import { dialog, eventually, press } from '../../testing/jupyterlab';
import { buttonOf, PanelOfPage, rowOf, rowsOf } from '../../testing/panel';
import { serve, type IAnswer, type IRequest } from '../../testing/server';
import { CONNECT } from '../commands';
import type { ISessionEntry } from './control';
import { ServerSection } from './server-section';

const OTHER = 'session-other';

let sessions: ISessionEntry[];
let refusal: IAnswer | null;
const server = await serve(answer);
let panel: PanelOfPage;
let section: ServerSection;

beforeEach(async () => {
  refusal = null;
  server.requests.length = 0;
  panel = new PanelOfPage();
  panel.kernel = 'kernel-one';
  panel.session = (await panel.start(panel.kernel)).session;
  sessions = [entry(panel.session), entry(OTHER, { name: 'training', cell_s: 75, queued: 2 })];
  section = new ServerSection(panel);
  Widget.attach(section, document.body);
});
afterEach(async () => {
  section.dispose();
  await panel.close();
});

/** A session that began three hours ago, or before. */
function entry(id: string, more: Partial<ISessionEntry> = {}): ISessionEntry {
  const created = new Date(Date.now() - 3.5 * 3600_000).toISOString();
  const idle = { state: 'idle', generation: 1, cell_s: null, queued: 0, listeners: 1 };
  return { id, name: '', kernel: 'python3', created, ...idle, ...more };
}

function answer({ method, path }: IRequest): IAnswer {
  if (method === 'GET') {
    return { body: path.endsWith('/sessions') ? { sessions } : {} };
  }
  return refusal ?? { status: 204, body: new Uint8Array() };
}

async function show(): Promise<void> {
  panel.connect(server.url);
  section.refresh();
  await eventually(() => rowsOf(section).length);
}

/** What the server was told to do since this was called last. */
function told(): string[] {
  const orders = server.requests.filter(({ method }) => method !== 'GET');
  server.requests.length = 0;
  return orders.map(({ method, path, headers, body }) =>
    [method, path.split('/').at(-1), headers['torch-session'], body].join(' ').trim()
  );
}

const where = () => section.node.querySelector('.jp-Torch-where')!;
const report = () => section.node.querySelector<HTMLElement>('.jp-Torch-report')!;
const line = () => section.node.querySelector('.jp-Torch-line')!;
const says = (text: string) => eventually(() => line().textContent === text);
const ACTIONS = ['Attach', 'Rename…', 'Interrupt', 'Restart…', 'Shut down…'];
const enabled = () => ACTIONS.filter(label => !buttonOf(section, label).disabled);

test('it says where the page is connected, and lets it connect elsewhere', () => {
  const connects: string[] = [];
  panel.commands.addCommand(CONNECT, { execute: () => connects.push('one') });
  section.refresh();
  assert.equal(where().textContent, 'Not connected to a server.');
  assert.ok(buttonOf(section, 'Disconnect').disabled);
  assert.ok(buttonOf(section, 'Check the connection').disabled);
  buttonOf(section, 'Connect…').click();
  assert.equal(connects.length, 1);
  for (const [status, said, isFault] of [
    [{ state: 'connecting', url: 'http://here:1' }, /^connecting to here:1/, false],
    [{ state: 'lost', url: 'http://here:1', retryAt: 0 }, /^here:1 is gone/, true],
    [{ state: 'refused', url: 'http://here:1', message: '' }, /^here:1 refuses this page/, true]
  ] as const) {
    panel.status = status;
    section.refresh();
    assert.match(where().textContent, said);
    assert.equal(where().classList.contains('jp-Torch-fault'), isFault);
    assert.ok(!buttonOf(section, 'Another server…').disabled);
  }
  panel.connect(server.url);
  section.refresh();
  assert.equal(where().textContent, `Connected to ${new URL(server.url).host}`);
  assert.ok(!where().classList.contains('jp-Torch-fault'));
  buttonOf(section, 'Disconnect').click();
  assert.equal(panel.known.get(), null);
});

test('the sessions of the server, of which that of the notebook in front is selected', async () => {
  await show();
  const front = panel.session!.slice(0, 6);
  assert.deepEqual(
    rowsOf(section).sort(([a], [b]) => a!.localeCompare(b!)),
    [
      [`${front} (this notebook)`, 'idle', '3 h', '1', 'python3'],
      ['training', 'idle 1 min, 2 waiting', '3 h', '1', 'python3']
    ].sort(([a], [b]) => a!.localeCompare(b!))
  );
  assert.equal(rowOf(section, panel.session!).getAttribute('aria-selected'), 'true');
  assert.deepEqual(enabled(), ACTIONS.slice(1));
  rowOf(section, OTHER).click();
  assert.deepEqual(enabled(), ACTIONS);
  // What the person has selected stays.
  sessions = [...sessions, entry('session-new')];
  section.refresh();
  await eventually(() => rowsOf(section).length === 3);
  assert.equal(rowOf(section, OTHER).getAttribute('aria-selected'), 'true');
  // Without a notebook in front there is nothing to attach.
  panel.kernel = panel.session = null;
  sessions = sessions.slice(0, 2);
  section.refresh();
  await eventually(() => rowsOf(section).length === 2);
  assert.deepEqual(enabled(), ACTIONS.slice(1));
});

test('a session is interrupted and renamed, and what went wrong is said', async () => {
  await show();
  rowOf(section, OTHER).click();
  buttonOf(section, 'Interrupt').click();
  await says('Interrupted training.');
  assert.deepEqual(told(), [`POST interrupt ${OTHER}`]);
  assert.equal(panel.asked, 1);

  for (const [name, said] of [
    [' evaluation ', 'It is called evaluation now.'],
    ['', 'It has no name now.']
  ] as const) {
    buttonOf(section, 'Rename…').click();
    const input = await eventually(() =>
      document.querySelector<HTMLInputElement>('.jp-Dialog input')
    );
    assert.equal(input.value, 'training');
    input.value = name;
    await press('Rename');
    await says(said);
    assert.deepEqual(told(), [`POST rename ${OTHER} ${JSON.stringify({ name: name.trim() })}`]);
    await eventually(() => !document.querySelector('.jp-Dialog'));
  }
  refusal = { status: 409, body: { message: 'No cell runs in this session.' } };
  buttonOf(section, 'Interrupt').click();
  await says('No cell runs in this session.');
  assert.ok(line().classList.contains('jp-Torch-fault'));
});

test('one is restarted or shut down when the person is sure', async () => {
  await show();
  rowOf(section, OTHER).click();
  for (const [action, warning, label, order, said] of [
    ['Restart…', /variables are gone/, 'Restart', 'POST restart', 'Restarted training.'],
    [
      'Shut down…',
      /ends with all its variables/,
      'Shut down',
      'DELETE sessions',
      'Shut down training.'
    ]
  ] as const) {
    buttonOf(section, action).click();
    assert.match((await dialog()).textContent, warning);
    await press('Cancel');
    await eventually(() => !document.querySelector('.jp-Dialog'));
    await panel.control.sessions();
    assert.deepEqual(told(), []);
    buttonOf(section, action).click();
    await press(label);
    await says(said);
    assert.deepEqual(told(), [`${order} ${OTHER}`]);
    await eventually(() => !document.querySelector('.jp-Dialog'));
  }
});

test('the notebook in front goes on with another session', async () => {
  await show();
  rowOf(section, OTHER).click();
  buttonOf(section, 'Attach').click();
  await press('Attach');
  await says('Attached to training.');
  assert.equal(panel.lines.sessionOf('kernel-one'), OTHER);
  assert.equal(panel.asked, 1);
  assert.deepEqual(told(), []);
});

test('what there is to say of the connection, until there is another one', async () => {
  await show();
  assert.ok(report().hidden);
  buttonOf(section, 'Check the connection').click();
  assert.equal(report().textContent, 'Looking…');
  assert.ok(!report().hidden);
  await eventually(() => report().textContent !== 'Looking…');
  assert.ok(report().textContent!.includes(server.url), report().textContent!);
  section.refresh();
  assert.ok(!report().hidden);
  panel.connect('http://127.0.0.1:9');
  section.refresh();
  assert.ok(report().hidden);
  assert.deepEqual(rowsOf(section), []);
});
