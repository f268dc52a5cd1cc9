import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';

import { dialog, eventually, press, trans } from '../../testing/jupyterlab';
import { openLine, settled, type WorkerEnd } from '../../testing/worker';
import type { Line } from '../kernels/line';
import { Stops } from './stop';

const INTERRUPT = { type: 'interrupt' };

let stops: Stops;
let line: Line;
let worker: WorkerEnd;

beforeEach(() => {
  mock.timers.enable({ apis: ['setTimeout', 'Date'] });
  stops = new Stops(trans);
  ({ line, worker } = openLine());
});
afterEach(() => {
  stops.forget(line);
  line.close();
  mock.timers.reset();
});

/** Whether the person is asked, after what follows from a timer has happened. */
async function asked(): Promise<boolean> {
  await settled();
  return document.querySelector('.jp-Dialog') !== null;
}

test('Stop without a remote cell is passed on, and nobody is asked', async () => {
  stops.stop(line);
  assert.deepEqual(await worker.rest(), [INTERRUPT]);
  mock.timers.tick(60_000);
  assert.ok(!(await asked()));
});

test('a cell that has ended in time is nothing to ask about', async () => {
  stops.began(line, 'a');
  stops.stop(line);
  mock.timers.tick(2999);
  stops.ended(line, 'a');
  mock.timers.tick(60_000);
  assert.ok(!(await asked()));
});

test('after three seconds the person may restart the remote kernel', async () => {
  stops.began(line, 'a');
  stops.stop(line);
  assert.deepEqual(await worker.next(), INTERRUPT);
  mock.timers.tick(2999);
  assert.ok(!(await asked()));
  mock.timers.tick(1);
  await dialog();
  // What is lost does not come back, so Enter alone waits on.
  assert.equal(document.activeElement?.textContent, 'Keep waiting');
  await press('Restart the remote kernel');
  assert.deepEqual(await worker.next(), { type: 'restart' });
});

test('who waits on is asked again at the next Stop', async () => {
  stops.began(line, 'a');
  for (let time = 0; time < 2; time++) {
    stops.stop(line);
    assert.deepEqual(await worker.next(), INTERRUPT);
    mock.timers.tick(3000);
    await press('Keep waiting');
    await eventually(() => !document.querySelector('.jp-Dialog'));
  }
  assert.deepEqual(await worker.rest(), []);
});

test('a second Stop asks sooner, but a double click is one', async () => {
  stops.began(line, 'a');
  stops.stop(line);
  mock.timers.tick(200);
  stops.stop(line);
  mock.timers.tick(399);
  assert.ok(!(await asked()));
  mock.timers.tick(1);
  assert.ok(await asked());
  stops.ended(line, 'a');
  stops.began(line, 'b');
  stops.stop(line);
  mock.timers.tick(1500);
  stops.stop(line);
  mock.timers.tick(0);
  await dialog();
});

test('the question goes when the cell ends after all', async () => {
  stops.began(line, 'a');
  stops.stop(line);
  mock.timers.tick(3000);
  await dialog();
  stops.ended(line, 'b');
  assert.ok(await asked());
  stops.ended(line, 'a');
  await eventually(() => !document.querySelector('.jp-Dialog'));
  assert.deepEqual(await worker.rest(), [INTERRUPT]);
});

test('a Stop is for the cell that ran, not for the next', async () => {
  stops.began(line, 'a');
  stops.stop(line);
  stops.began(line, 'b');
  mock.timers.tick(60_000);
  assert.ok(!(await asked()));
});
