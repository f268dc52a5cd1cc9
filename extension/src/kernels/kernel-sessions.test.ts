import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import { Sessions } from '../../testing/jupyterlab';
import { KernelSessions } from './kernel-sessions';
import { SessionIds } from './session-id';

const claim = async () => true;
let jupyter: Sessions;
let ids: SessionIds;
let sessions: KernelSessions;

beforeEach(() => {
  sessionStorage.clear();
  jupyter = new Sessions();
  ids = new SessionIds(sessionStorage, null, claim);
  sessions = new KernelSessions(jupyter.manager, ids);
});

/** Take the id when it has been found. */
async function prepared(kernelId: string): Promise<string> {
  sessions.prepare(kernelId);
  return sessions.take(kernelId);
}

test('a kernel has the session of its notebook', async () => {
  jupyter.start('one', 'a.ipynb');
  assert.equal(await prepared('one'), await ids.forPath('a.ipynb'));
});

test('it is there at once when it was looked for before', async () => {
  jupyter.start('one', 'a.ipynb');
  const id = await prepared('one');
  assert.equal(sessions.take('one'), id);
  // A restart is a new kernel with the same id.
  sessions.prepare('one');
  assert.equal(sessions.take('one'), id);
});

test('the notebook is renamed, and the session goes with it', async () => {
  jupyter.start('one', 'a.ipynb');
  const id = await prepared('one');
  jupyter.start('one', 'b.ipynb');
  assert.equal(await sessions.take('one'), id);
  assert.equal(await ids.forPath('b.ipynb'), id);
});

test('a restored notebook, renamed before its kernel is ready, has its session again', async () => {
  const before = await ids.forPath('a.ipynb');
  jupyter.start('one', 'random-path');
  sessions.prepare('one');
  await new Promise(resolve => setImmediate(resolve));
  jupyter.start('one', 'a.ipynb');
  assert.equal(await sessions.take('one'), before);
  assert.equal(sessionStorage.getItem('session:random-path'), null);
});

test('a kernel without a path has a session of its own', async t => {
  t.mock.method(Date, 'now', () => (now += 1000));
  let now = 0;
  assert.equal(await prepared('one'), await ids.forKernel('one'));
});
