// The page of the benchmark. It drives itself, since a debugging connection would slow what is
// measured: it fetches its job, starts the notebook app, and runs cells through the notebook's own
// kernel connection, as the app does.

const STORED = 'lite-run:job';
const here = new URL('.', import.meta.url);

// What is sent is at most so large: after some GiB of bodies a page of Chromium 156 sends no more.
const MOST_UP = 2 ** 28;

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
// array, which is there before and is therefore as warm as ours; up, they are one request's body or
// parts of it, two at a time.
const WORKER = `
const PART = 32 * 2 ** 20;
let bytes;
async function put(url, body) {
  return Number(await (await fetch(url, { method: 'PUT', body })).text());
}
async function putParts(url, body) {
  let next = 0, moved = 0;
  async function lane() {
    while (next < body.length) {
      const start = next;
      next += PART;
      const count = await put(url, body.subarray(start, start + PART));
      moved += count;
    }
  }
  await Promise.all([lane(), lane()]);
  return moved;
}
async function get(url, into) {
  const reader = (await fetch(url, { cache: 'no-store' })).body.getReader();
  for (let moved = 0; ; ) {
    const { done, value } = await reader.read();
    if (done) return moved;
    into.set(value, moved);
    moved += value.length;
  }
}
const ways = { get, put, putParts };
self.onmessage = async ({ data: { way, url, size } }) => {
  if (bytes?.length !== size) bytes = new Uint8Array(size).fill(7);
  const began = performance.now();
  const moved = await ways[way](url, bytes);
  const ms = performance.now() - began;
  self.postMessage(moved === size ? { ms } : { error: moved + ' bytes of ' + size + ' moved' });
};`;

function transfers() {
  const worker = new Worker(URL.createObjectURL(new Blob([WORKER], { type: 'text/javascript' })));
  const transfer = message =>
    new Promise((resolve, reject) => {
      worker.onerror = event => reject(new Error(event.message));
      worker.onmessage = ({ data }) =>
        data.error ? reject(new Error(data.error)) : resolve(data.ms);
      worker.postMessage(message);
    });
  return { transfer, end: () => worker.terminate() };
}

/** Run one cell; the milliseconds until its reply and its last output are here, or those that it has
 * measured itself and has as its result. */
async function run(kernel, code) {
  const began = performance.now();
  const future = kernel.requestExecute({ code });
  let result;
  future.onIOPub = ({ header, content }) => {
    if (header.msg_type === 'execute_result') {
      result = content.data['text/plain'];
    }
  };
  const { content } = await future.done;
  const ms = performance.now() - began;
  if (content.status !== 'ok') {
    throw new Error(`${code}\n${content.ename}: ${content.evalue}`);
  }
  return result === undefined ? ms : Number(result);
}

const TORCH = { float32: [4, 'np.float32'], bfloat16: [2, null] };
const PULL = '%%torch --no-auto -o y=_source\npass';
const PULL_AT_ONCE = '%%torch --no-auto --eager 2GiB -o y=_source\npass';
// Arrays come when a local cell reads them.
const READ = 'id(y);';
// Or when one awaits the handle, which leaves out what the cells cost.
const AWAIT = `import time
began = time.perf_counter()
await y
(time.perf_counter() - began) * 1000`;

/** Let the page draw the end of the cell before, which the transfer that is timed next would pay for. */
function rest() {
  return new Promise(resolve => setTimeout(resolve, 100));
}

/** The rounds of each measure: the first ones warm up caches of all kinds. */
async function rounds(count, warm, round) {
  for (let n = -warm; n < count; n++) {
    await round(n >= 0);
  }
}

/** A cell without arrays, beside an empty local one. */
async function cells(cell, job, tell) {
  const kinds = { local: 'pass', remote: '%%torch\npass' };
  await rounds(job.cells, 5, async counts => {
    for (const [name, code] of Object.entries(kinds)) {
      const ms = await cell(code);
      // Told one by one, so that both come after the same pause: the page still draws the end of
      // the cell before, which one that follows at once would pay for.
      await tell(counts ? name : `warm ${name}`, ms);
    }
  });
}

/** Many small tensors beside one of the same bytes. */
async function many(cell, job, tell) {
  const one = 'torch.rand(2**20)';
  const parts = '[torch.rand(1024) for _ in range(1000)]';
  await cell(`%%torch --no-auto\n_one, _many = ${one}, ${parts}\nNone`);
  await cell('one = np.random.rand(2**19)\nmany = [np.random.rand(512) for _ in range(1000)]');
  const pull = async name =>
    (await cell(`%%torch --no-auto -o y=${name}\npass`)) + (await cell(READ));
  await rounds(job.pairs, 1, async counts => {
    const times = { 'one down': await pull('_one'), 'many down': await pull('_many') };
    await cell('one += 1\nfor each in many: each += 1');
    times['one up'] = await cell('%%torch\nlen(one);');
    times['many up'] = await cell('%%torch\nlen(many);');
    for (const [name, ms] of Object.entries(times)) {
      if (counts) {
        await tell(name, ms);
      }
    }
  });
  await cell('del one, many, y');
}

/** A tensor on the server to bring back. */
async function makeThere(cell, { bytes, dtype }) {
  const count = bytes / TORCH[dtype][0];
  await cell(`%%torch --no-auto\n_source = torch.rand(${count}).to(torch.${dtype}); None`);
}

/** An array here to send, where NumPy has its dtype. */
async function makeHere(cell, { bytes, dtype }) {
  const [size, numpy] = TORCH[dtype];
  if (numpy) {
    await cell(`x = np.random.default_rng(0).random(${bytes / size}, dtype=${numpy})`);
  }
  return Boolean(numpy);
}

/** What the processes hold more while an array goes each way, told as the times between which. */
async function memory(cell, job, array, tell) {
  const now = () => (performance.timeOrigin + performance.now()) / 1000;
  await tell('watch', true);
  await makeThere(cell, array);
  await makeHere(cell, array);
  await rounds(3, 1, async counts => {
    let began = now();
    await cell(PULL);
    await cell(READ);
    if (counts) {
      await tell(`memory down ${array.name}`, [began, now()]);
    }
    await cell('del y\nx += 1');
    began = now();
    await cell('%%torch -i x\nlen(x);');
    if (counts) {
      await tell(`memory up ${array.name}`, [began, now()]);
    }
  });
  await cell('del x');
  await tell('watch', false);
}

/** An array each way, one after the other (the browser holds no two of the largest), beside the
 * browser's own transfers of as many bytes. */
async function arrays(cell, job, array, tell) {
  const { transfer, end } = transfers();
  const { name, bytes } = array;
  const tellAll = async times => {
    for (const [way, ms] of Object.entries(times)) {
      await tell(`${way} ${name}`, ms);
    }
  };
  await makeThere(cell, array);
  await rounds(array.pairs, 1, async counts => {
    const times = {};
    await rest();
    times.get = await transfer({ way: 'get', url: `${job.download}/${bytes}`, size: bytes });
    await rest();
    times.pull = (await cell(PULL)) + (await cell(READ));
    await cell('del y');
    await rest();
    times['pull at once'] = await cell(PULL_AT_ONCE);
    await cell('del y');
    await cell(PULL);
    await rest();
    times['pull awaited'] = await cell(AWAIT);
    await cell('del y');
    if (counts) {
      await tellAll(times);
    }
  });
  await cell('%%torch --no-auto\ndel _source');
  if (bytes <= MOST_UP && (await makeHere(cell, array))) {
    await rounds(array.pairs, 1, async counts => {
      const times = {};
      await rest();
      times.put = await transfer({ way: 'put', url: job.upload, size: bytes });
      await rest();
      times['put parts'] = await transfer({ way: 'putParts', url: job.upload, size: bytes });
      // Changed, so that the cell has to send it again.
      await cell('x += 1');
      await rest();
      times.push = await cell('%%torch -i x\nlen(x);');
      if (counts) {
        await tellAll(times);
      }
    });
    await cell('del x');
  }
  end();
}

async function measure(kernel, job, tell) {
  const cell = code => run(kernel, code);
  await cell('import numpy as np');
  await cells(cell, job, tell);
  await many(cell, job, tell);
  await memory(cell, job, job.arrays[0], tell);
  for (const array of job.arrays) {
    await arrays(cell, job, array, tell);
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
    await measure(kernel, job.bench, (name, value) => send({ type: 'measured', name, value }));
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
