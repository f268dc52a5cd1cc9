// The page of the benchmark. It drives itself, since a debugging connection would slow what is
// measured: it fetches its job, starts the notebook app, and runs cells through the notebook's own
// kernel connection, as the app does.

const STORED = 'lite-run:job';
const here = new URL('.', import.meta.url);

function post(id, what, body) {
  return fetch(new URL(`${id}/${what}`, here), { method: 'POST', body: JSON.stringify(body) });
}

/** The first page: fetch the job, leave the credential where the app looks for it, start the app. */
async function start(id) {
  const job = await (await post(id, 'job', null)).json();
  for (const [key, value] of Object.entries(job.storage)) {
    sessionStorage.setItem(key, value);
  }
  sessionStorage.setItem(STORED, JSON.stringify({ ...job, storage: undefined, id }));
  location.replace(new URL(`../notebooks/index.html?path=${encodeURIComponent(job.path)}`, here));
}

/** Resolves to what `look` returns, once that is something. */
async function appeared(look) {
  for (;;) {
    const found = look();
    if (found) {
      return found;
    }
    await new Promise(resolve => requestAnimationFrame(resolve));
  }
}

// The browser's own transfers, in a worker as the Python kernel is. Down, the bytes end in one
// array, which is there before and is therefore as warm as ours; up, they are one request's body.
const WORKER = `
let bytes;
self.onmessage = async ({ data: { url, up, size } }) => {
  bytes ??= new Uint8Array(size).fill(7);
  const began = performance.now();
  let moved = 0;
  if (up) {
    moved = Number(await (await fetch(url, { method: 'PUT', body: bytes })).text());
  } else {
    const reader = (await fetch(url, { cache: 'no-store' })).body.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      bytes.set(value, moved);
      moved += value.length;
    }
  }
  const ms = performance.now() - began;
  self.postMessage(moved === size ? { ms } : { error: moved + ' bytes of ' + size + ' moved' });
};`;

function transfers() {
  const worker = new Worker(URL.createObjectURL(new Blob([WORKER], { type: 'text/javascript' })));
  return message =>
    new Promise((resolve, reject) => {
      worker.onerror = event => reject(new Error(event.message));
      worker.onmessage = ({ data }) =>
        data.error ? reject(new Error(data.error)) : resolve(data.ms);
      worker.postMessage(message);
    });
}

/** Run one cell; the milliseconds until its reply and its last output are here. */
async function run(kernel, code) {
  const began = performance.now();
  const { content } = await kernel.requestExecute({ code }).done;
  const ms = performance.now() - began;
  if (content.status !== 'ok') {
    throw new Error(`${code}\n${content.ename}: ${content.evalue}`);
  }
  return ms;
}

async function measure(kernel, job, tell) {
  const cell = code => run(kernel, code);
  const { cells, pairs, size, download, upload } = job.bench;
  for (let n = 0; n < 5; n++) {
    await cell('pass');
    await cell('%%torch\npass');
  }
  for (let n = 0; n < cells; n++) {
    await tell('local', await cell('pass'));
    await tell('remote', await cell('%%torch\npass'));
  }
  const fetchOnly = transfers();
  const count = size / 4;
  await cell(`import numpy as np\nx = np.random.default_rng(0).random(${count}, dtype="f4")`);
  await cell(`%%torch\nsource = torch.rand(${count}); None\n_source = source; del source`);
  for (let n = -1; n < pairs; n++) {
    const down = await fetchOnly({ url: download, up: false, size });
    // The second reads the array, for which it is fetched.
    const ours =
      (await cell('%%torch --no-auto -o y=_source\npass')) + (await cell('y.ravel();'));
    const up = await fetchOnly({ url: upload, up: true, size });
    // Changed, so that the cell has to send it again.
    await cell('x[:] = x[::-1].copy()');
    const push = await cell('%%torch\nlen(x);');
    // The first round warms up caches of all kinds.
    if (n >= 0) {
      await tell('fetch down', down);
      await tell('cell down', ours);
      await tell('fetch up', up);
      await tell('cell up', push);
    }
  }
}

/** The app's page: measure, and tell each figure. */
async function drive(job) {
  const send = event => post(job.id, 'event', event);
  try {
    const app = await appeared(() => window.jupyterapp);
    await app.restored;
    const panel = await appeared(() => app.shell.currentWidget?.context && app.shell.currentWidget);
    await panel.context.ready;
    await panel.sessionContext.ready;
    const kernel = panel.sessionContext.session.kernel;
    await kernel.info;
    await send({ type: 'ready' });
    await measure(kernel, job, (name, ms) => send({ type: 'measured', name, ms }));
    await send({ type: 'done' });
  } catch (error) {
    await send({ type: 'failed', reason: String(error?.message ?? error) });
  }
}

const stored = sessionStorage.getItem(STORED);
if (stored !== null) {
  void drive(JSON.parse(stored));
} else {
  void start(location.hash.slice(1));
}
