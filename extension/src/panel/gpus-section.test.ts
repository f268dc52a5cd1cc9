import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';

import { PanelOfPage } from '../../testing/panel';
import type { IGpu } from '../status/server-status';
import { GpusSection } from './gpus-section';
import { HISTORY_MS } from './history';

const GPU: IGpu = { index: '0', name: 'H200', used: 2 ** 31, total: 2 ** 37, load: 0.256 };

let panel: PanelOfPage;
let section: GpusSection;
let now: number;

beforeEach(() => {
  now = 1000;
  mock.method(performance, 'now', () => now);
  panel = new PanelOfPage();
  section = new GpusSection(panel);
});
afterEach(async () => {
  section.dispose();
  await panel.close();
  mock.restoreAll();
});

/** The server says this of its GPUs, some time after it was asked before. */
function answer(gpus: IGpu[], url = 'http://here:1'): void {
  now += 5000;
  panel.connect(url, null, gpus);
  section.refresh();
}

const texts = (selector: string) =>
  Array.from(section.node.querySelectorAll(selector), ({ textContent }) => textContent);
const MEASURE = '.jp-Torch-measure > div';
/** The curves, each as the number of its points. */
const points = () =>
  Array.from(section.node.querySelectorAll('.jp-Torch-curve'), curve =>
    curve.closest('[hidden]') ? 0 : curve.getAttribute('d')!.match(/[ML]/g)!.length
  );
const sentence = () => section.node.querySelector<HTMLElement>('.jp-Torch-empty')!;

test('memory and load of each GPU, now and before', () => {
  answer([GPU, { ...GPU, index: '1', load: 1 }]);
  assert.deepEqual(texts('.jp-Torch-gpu'), ['0: H200', '1: H200']);
  const memory = 'Memory: 2.0 GiB of 128 GiB';
  assert.deepEqual(texts(MEASURE), [memory, 'Load: 26 %', memory, 'Load: 100 %']);
  assert.ok(sentence().hidden);
  assert.deepEqual(points(), [1, 1, 1, 1]);
  // The same answer, shown again.
  section.refresh();
  assert.deepEqual(points(), [1, 1, 1, 1]);
  answer([{ ...GPU, used: 2 ** 36 }, GPU]);
  assert.deepEqual(points(), [2, 2, 2, 2]);
  assert.equal(texts(MEASURE)[0], 'Memory: 64 GiB of 128 GiB');
  now += HISTORY_MS;
  answer([GPU, GPU]);
  assert.deepEqual(points(), [1, 1, 1, 1]);
});

test('what was measured at another server is not of this one', () => {
  answer([GPU]);
  answer([GPU]);
  answer([GPU], 'http://there:1');
  assert.deepEqual(points(), [1, 1]);
});

test('what the driver does not tell', () => {
  answer([{ ...GPU, used: null, load: null }]);
  assert.deepEqual(texts(MEASURE), [
    'Memory: the driver does not tell',
    'Load: the driver does not tell'
  ]);
  assert.deepEqual(points(), [0, 0]);
});

test('without GPUs it says where cells run', () => {
  section.refresh();
  assert.equal(sentence().textContent, 'There is no server to ask.');
  answer([]);
  assert.match(sentence().textContent, /^This server has no GPU/);
  for (const [session, said] of [
    [{ device: 'cpu' }, /^This server has no GPU/],
    [{ device: 'mps' }, /^Cells run on mps,/],
    [{ device: 'xpu', device_name: 'Arc B580' }, /^Cells run on Arc B580,/]
  ] as const) {
    panel.connect('http://here:1', session);
    section.refresh();
    assert.ok(!sentence().hidden);
    assert.match(sentence().textContent, said);
  }
});
