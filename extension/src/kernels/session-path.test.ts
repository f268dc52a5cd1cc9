import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Sessions } from '../../testing/jupyterlab';
import { pathOf, waitForPath } from './session-path';

test('the path of a kernel', () => {
  const sessions = new Sessions();
  sessions.start('one', 'a.ipynb');
  sessions.start('two', 'b.ipynb');
  assert.equal(pathOf(sessions.manager, 'two'), 'b.ipynb');
  assert.equal(pathOf(sessions.manager, 'three'), null);
});

test('a session that comes after its kernel is waited for', async () => {
  const sessions = new Sessions();
  const path = waitForPath(sessions.manager, 'one');
  setTimeout(() => sessions.startUnseen('one', 'a.ipynb'), 20);
  assert.equal(await path, 'a.ipynb');
});

test('but not for ever, and not less when the manager fails', async t => {
  const sessions = new Sessions();
  t.mock.method(sessions, 'refreshRunning', async () => {
    throw new Error('the server is gone');
  });
  assert.equal(await waitForPath(sessions.manager, 'one', 1), null);
});
