import assert from 'node:assert/strict';
import { test } from 'node:test';

import { serve, type IAnswer, type IRequest } from '../../testing/server';
import { trans } from '../../testing/jupyterlab';
import { ConnectFault, Doctor, isLoopback, PROTOCOL } from './doctor';

const API = '/kernel_proxy/api/v1/';
const doctor = new Doctor(trans);

/** What a proxy answers to its description with a token that it knows. */
function proxy(token: string, more: object = {}) {
  return ({ headers }: IRequest): IAnswer =>
    headers.authorization === `token ${token}`
      ? { body: { name: 'jupyterlite-torch', version: '1.2.3', protocol: PROTOCOL, ...more } }
      : { status: 401, body: { reason: 'token', message: 'no' } };
}

/** The fault that an address and a credential end with. */
async function faultOf(address: string, credential = 'good'): Promise<ConnectFault> {
  const error = await doctor.connect(address, credential).then(
    () => null,
    error => error
  );
  assert.ok(error instanceof ConnectFault, String(error));
  return error;
}

test('a token connects, in a header of one request', async () => {
  const { url, requests } = await serve(proxy('good'));
  assert.deepEqual(await doctor.connect(`${url}/`, 'good'), { url, token: 'good' });
  assert.deepEqual(
    requests.map(({ method, path }) => [method, path]),
    [['GET', API]]
  );
});

test('a one-time code is changed for a token', async () => {
  const describe = proxy('fresh');
  const { url, requests } = await serve(request =>
    request.path === `${API}pair` ? { body: { token: 'fresh' } } : describe(request)
  );
  assert.deepEqual(await doctor.connect(url, 'abcd-2345'), { url, token: 'fresh' });
  assert.equal(requests[0]!.body, '{"code":"abcd-2345"}');
});

test('a code that is used names the command for another', async () => {
  const { url } = await serve(() => ({ status: 401, body: { reason: 'token', message: 'no' } }));
  const { kind, message, commands } = await faultOf(url, 'ABCD2345');
  assert.equal(kind, 'credential');
  assert.match(message, /ABCD2345 is wrong, was used before/);
  assert.match(commands[0]!, /^jupyter torch-proxy pair --site http:\/\/127\.0\.0\.1:8000/);
});

test('a wrong token', async () => {
  const { url } = await serve(proxy('good'));
  assert.equal((await faultOf(url, 'bad')).kind, 'credential');
});

test('a refusal is in the words of the server', async () => {
  const { url } = await serve(() => ({ status: 503, body: { message: 'Come back later.' } }));
  const { kind, message } = await faultOf(url);
  assert.deepEqual([kind, message], ['refused', 'Come back later.']);
});

test('another program', async () => {
  const { url } = await serve(() => ({ status: 404, body: [] }));
  const { kind, message } = await faultOf(url);
  assert.equal(kind, 'not-proxy');
  assert.match(message, /with status 404/);
});

test('a release that speaks another protocol', async () => {
  const older = await serve(proxy('good', { protocol: PROTOCOL - 1 }));
  const { kind, commands } = await faultOf(older.url);
  assert.deepEqual([kind, commands], ['version', ['pip install --upgrade jupyterlite-torch']]);
  const newer = await serve(proxy('good', { protocol: PROTOCOL + 1 }));
  assert.match((await faultOf(newer.url)).message, /Reload the page/);
});

test('a line that lets no WebSocket pass', async () => {
  const { url } = await serve(proxy('good'), { sockets: false });
  assert.equal((await faultOf(url)).kind, 'websocket');
});

test('nobody there', async () => {
  const { url, close } = await serve(() => ({}));
  close();
  const { kind, text } = await faultOf(url);
  assert.equal(kind, 'silent');
  assert.match(text, /\n    ssh -N -L \d+:127\.0\.0\.1:8889 GPU-MACHINE$/);
});

test('a login page before it', async t => {
  // What happy-dom says of the picture that it does not get.
  t.mock.method(console, 'error', () => {});
  t.mock.method(console, 'warn', () => {});
  const { url } = await serve(({ path }) =>
    path === '/login' ? {} : { status: 302, headers: { Location: '/login' } }
  );
  const { kind, message, commands } = await faultOf(url);
  assert.equal(kind, 'not-readable');
  assert.match(message, /^A server answers/);
  assert.deepEqual(commands, [`jupyter torch-proxy --origin ${location.origin}`]);
});

test('a Jupyter server that does not know the page is told by its icon', async () => {
  const { url } = await serve(({ path }) =>
    path === '/static/favicons/favicon.ico'
      ? { headers: { 'Access-Control-Allow-Origin': '*' } }
      : { status: path === '/login' ? 200 : 302, headers: { Location: '/login' } }
  );
  const { kind, message } = await faultOf(url);
  assert.equal(kind, 'not-readable');
  assert.match(message, /^A Jupyter server answers/);
});

test('a browser that keeps the page from the local network', async () => {
  const { url, close } = await serve(() => ({}));
  close();
  const asked: string[] = [];
  const query = async ({ name }: { name: string }) => {
    asked.push(name);
    if (name === 'loopback-network') {
      throw new TypeError('a browser that does not know this one');
    }
    return { state: 'denied' };
  };
  Object.defineProperty(navigator, 'permissions', { value: { query }, configurable: true });
  try {
    assert.equal((await faultOf(url)).kind, 'permission');
    assert.deepEqual(asked, ['loopback-network', 'local-network']);
  } finally {
    delete (navigator as { permissions?: unknown }).permissions;
  }
});

test('the report says what is wrong, or that nothing is', async () => {
  const { url } = await serve(proxy('good'));
  const head = `Page: ${location.origin}\nServer: ${url}\n`;
  assert.match(
    (await doctor.report(url, 'good')).slice(head.length),
    /^Nothing is wrong.* 1\.2\.3/
  );
  assert.match(await doctor.report(url, null), new RegExp(`%torch connect ${url}`));
  assert.match(await doctor.report(url, 'bad'), /does not take this token/);
  assert.match(await doctor.report('nonsense://', null), /This is no address of a server/);
});

test('a clock that differs from the server is told', async () => {
  const report = async (off: number) =>
    doctor.report((await serve(proxy('good', { time: Date.now() / 1000 + off }))).url, 'good');
  assert.match(
    await report(-3 * 3600),
    /Nothing is wrong.*\nThe clock of this device is 3 hours ahead/
  );
  assert.doesNotMatch(await report(60), /clock/);
});

test('an address may lack its http://', () => {
  assert.equal(doctor.look(' 127.0.0.1:8889 '), 'http://127.0.0.1:8889');
  for (const text of ['', '  ', 'http://me:secret@host', 'ftp://host']) {
    assert.throws(() => doctor.look(text), { kind: 'address' }, text);
  }
});

test('a page on https reaches http on its own machine only', t => {
  t.mock.getter(window, 'location', () => new URL('https://owner.github.io/site/'));
  assert.equal(doctor.look('http://localhost:8889'), 'http://localhost:8889');
  assert.equal(doctor.look('https://gpubox:9000'), 'https://gpubox:9000');
  assert.throws(() => doctor.look('http://gpubox:9000'), {
    kind: 'mixed-content',
    commands: ['ssh -N -L 8889:127.0.0.1:9000 gpubox']
  });
});

test('loopback addresses', () => {
  for (const host of ['localhost', 'a.localhost', '127.0.0.1', '127.9.8.7', '[::1]']) {
    assert.ok(isLoopback(host), host);
  }
  for (const host of ['localhost.evil.org', '127.evil.org', '10.0.0.1', '[::2]']) {
    assert.ok(!isLoopback(host), host);
  }
});
