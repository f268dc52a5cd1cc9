import assert from 'node:assert/strict';
import { test } from 'node:test';

import { eventually, trans } from '../../testing/jupyterlab';
import { serve } from '../../testing/server';
import { KnownServer } from '../connect/known-server';
import { ServerStatus, type IGpu, type ISession, type Status } from './server-status';
import { describe, StatusItem } from './status-item';

const url = 'http://127.0.0.1:8889';
const GPU = { index: '0', name: 'H200', used: null, total: null, load: null };
const SESSION = {
  state: 'idle',
  generation: 1,
  seq: 1,
  device_name: null,
  cell_s: null,
  queued: 0
};

const text = (status: Status, now = 0) => describe(status, now, trans);
const on = (gpus: Partial<IGpu>[], session: Partial<ISession> | null = null, now = 0) =>
  text(
    {
      state: 'on',
      url,
      gpus: gpus.map(gpu => ({ ...GPU, ...gpu })),
      session: session && { ...SESSION, ...session },
      since: 0
    },
    now
  );

test('where there is no connection, it says so', () => {
  assert.equal(text({ state: 'off' }), 'not connected');
  assert.equal(text({ state: 'connecting', url }), 'connecting to 127.0.0.1:8889…');
  assert.equal(text({ state: 'refused', url, message: 'no' }), '127.0.0.1:8889 refuses this page');
});

test('seconds until the next try count down to none', () => {
  const lost: Status = { state: 'lost', url, retryAt: 4000 };
  for (const [now, seconds] of [
    [0, 4],
    [1, 4],
    [1000, 3],
    [3999, 1],
    [4000, 0],
    [9000, 0]
  ] as const) {
    assert.equal(text(lost, now), `127.0.0.1:8889 is gone; trying again in ${seconds} s`);
  }
});

test('the device has the best name that is known', () => {
  assert.equal(on([]), '127.0.0.1:8889');
  assert.equal(on([], { device: 'cpu' }), 'cpu');
  assert.equal(on([{}], { device: 'cuda' }), 'H200');
  assert.equal(on([{}], { device: 'cuda', device_name: 'H200 MIG' }), 'H200 MIG');
});

test('memory and load are shown where the driver tells them', () => {
  const total = 141 * 2 ** 30;
  assert.equal(on([{ used: 1.25 * 2 ** 30, total }]), 'H200 · 1.3 of 141 GiB');
  assert.equal(on([{ used: 12.4 * 2 ** 30, total, load: 0.876 }]), 'H200 · 12 of 141 GiB · 88 %');
  assert.equal(on([{ used: 0, total: null, load: 0 }]), 'H200 · 0 %');
});

test('the time of a cell goes on between two answers', () => {
  const clock = (cell_s: number, now = 0) => on([], { device: 'cpu', cell_s }, now);
  assert.equal(clock(0), 'cpu · 0:00');
  assert.equal(clock(9.9), 'cpu · 0:09');
  assert.equal(clock(9.9, 100), 'cpu · 0:10');
  assert.equal(clock(61), 'cpu · 1:01');
  assert.equal(clock(3600 + 2 * 60 + 3), 'cpu · 1:02:03');
  assert.equal(clock(100 * 3600), 'cpu · 100:00:00');
});

test('the button shows the status, says what it is, and can be pressed', async () => {
  sessionStorage.clear();
  const server = await serve(() => ({ body: { gpus: [GPU], session: null } }));
  const known = new KnownServer(sessionStorage, null);
  let clicks = 0;
  const item = new StatusItem(new ServerStatus(known, () => null), () => clicks++, trans);
  assert.equal(item.node.tagName, 'BUTTON');
  assert.equal(item.node.textContent, 'Torch: not connected');
  assert.equal(item.node.dataset.state, 'off');
  assert.match(item.node.title, /%%torch/);
  known.set({ url: server.url, token: 'secret' });
  await eventually(() => item.node.textContent === 'Torch: H200');
  assert.equal(item.node.dataset.state, 'on');
  item.node.click();
  assert.equal(clicks, 1);
  item.dispose();
});
