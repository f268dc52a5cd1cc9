import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import { randomId, SessionIds, tellsTabsApart, type Claim } from './session-id';

/** The locks of the browser, of one page or of several. */
class Locks {
  readonly taken = new Set<string>();

  /** The claims of one page; what it has, it may have again. */
  page(): Claim {
    const own = new Set<string>();
    return async id => {
      if (own.has(id) || !this.taken.has(id)) {
        own.add(id);
        this.taken.add(id);
        return true;
      }
      return false;
    };
  }
}

/** The storage of another tab. */
function anotherTab(): Storage {
  return new Storage();
}

beforeEach(() => {
  sessionStorage.clear();
  localStorage.clear();
});

/** The ids that a storage keeps, by path. */
function kept(storage: Storage): Record<string, string> {
  return Object.fromEntries(
    Array.from({ length: storage.length }, (_, index) => storage.key(index)!).map(key => [
      key.replace(/^session:/, ''),
      storage.getItem(key)!
    ])
  );
}

/** Wait for what is written after a promise. */
const written = () => new Promise(resolve => setImmediate(resolve));

test('ids are random, long, and fit into a header', () => {
  const ids = new Set(Array.from({ length: 100 }, randomId));
  assert.equal(ids.size, 100);
  for (const id of ids) {
    assert.match(id, /^[A-Za-z0-9_-]{32}$/);
  }
});

test('a notebook has one id, and another notebook another', async () => {
  const ids = new SessionIds(sessionStorage, null, new Locks().page());
  const id = await ids.forPath('a.ipynb');
  assert.equal(await ids.forPath('a.ipynb'), id);
  assert.notEqual(await ids.forPath('b.ipynb'), id);
});

test('a reload finds it again', async () => {
  const id = await new SessionIds(sessionStorage, null, new Locks().page()).forPath('a.ipynb');
  const again = new SessionIds(sessionStorage, null, new Locks().page());
  assert.equal(await again.forPath('a.ipynb'), id);
});

test('a second tab has an id of its own, which a copy of the first one has too', async () => {
  const locks = new Locks();
  const first = await new SessionIds(sessionStorage, localStorage, locks.page()).forPath('a.ipynb');
  // A tab that was opened anew, and one that was duplicated, with the storage of the first.
  for (const copied of [null, first]) {
    const tab = anotherTab();
    if (copied) {
      tab.setItem('session:a.ipynb', copied);
    }
    const id = await new SessionIds(tab, localStorage, locks.page()).forPath('a.ipynb');
    assert.notEqual(id, first);
    assert.deepEqual(kept(tab), { 'a.ipynb': id });
  }
  assert.deepEqual(kept(localStorage), { 'a.ipynb': first });
});

test('after a crash the first tab takes the id that is kept for all', async () => {
  const id = await new SessionIds(sessionStorage, localStorage, new Locks().page()).forPath('a');
  const locks = new Locks();
  const first = new SessionIds(anotherTab(), localStorage, locks.page());
  assert.equal(await first.forPath('a'), id);
  const second = new SessionIds(anotherTab(), localStorage, locks.page());
  assert.notEqual(await second.forPath('a'), id);
});

test('what others wrote into the storage is no id', async () => {
  for (const text of ['', 'short', 'x'.repeat(65), '../../escape', 'with a space']) {
    sessionStorage.setItem('session:a', text);
    const id = await new SessionIds(sessionStorage, null, new Locks().page()).forPath('a');
    assert.notEqual(id, text);
    assert.equal(sessionStorage.getItem('session:a'), id);
  }
});

test('a renamed notebook keeps its id', async () => {
  const ids = new SessionIds(sessionStorage, localStorage, new Locks().page());
  const id = await ids.forPath('a.ipynb');
  ids.rename('a.ipynb', 'b.ipynb');
  assert.equal(await ids.forPath('b.ipynb'), id);
  assert.notEqual(await ids.forPath('a.ipynb'), id);
  await written();
  assert.equal(kept(sessionStorage)['b.ipynb'], id);
  assert.equal(kept(localStorage)['b.ipynb'], id);
});

test('a rename leaves alone what another tab keeps for all', async () => {
  const locks = new Locks();
  const other = await new SessionIds(anotherTab(), localStorage, locks.page()).forPath('a');
  const ids = new SessionIds(sessionStorage, localStorage, locks.page());
  const id = await ids.forPath('a');
  ids.rename('a', 'b');
  await written();
  assert.deepEqual(kept(localStorage), { a: other });
  assert.deepEqual(kept(sessionStorage), { b: id });
});

test('a notebook that was deleted and made anew starts with nothing', async () => {
  const ids = new SessionIds(sessionStorage, localStorage, new Locks().page());
  const id = await ids.forPath('a');
  ids.forget('a');
  await written();
  assert.deepEqual([kept(sessionStorage), kept(localStorage)], [{}, {}]);
  assert.notEqual(await ids.forPath('a'), id);
});

test('a kernel of which nobody knows the path has an id that is not kept', async () => {
  const ids = new SessionIds(sessionStorage, localStorage, new Locks().page());
  assert.equal(await ids.forKernel('one'), await ids.forKernel('one'));
  assert.notEqual(await ids.forKernel('one'), await ids.forKernel('two'));
  assert.equal(sessionStorage.length + localStorage.length, 0);
});

test('tabs are told apart by locks of the browser, under a digest of the id', async t => {
  assert.equal(tellsTabsApart(), false);
  const asked: string[] = [];
  const locks = {
    async request(name: string, _: LockOptions, granted: (lock: Lock | null) => unknown) {
      // Held until the page goes, so that a second request gets none.
      const free = !asked.includes(name);
      asked.push(name);
      await granted(free ? ({ name, mode: 'exclusive' } as Lock) : null);
    }
  };
  t.mock.getter(navigator, 'locks', () => locks);
  assert.equal(tellsTabsApart(), true);
  const id = await new SessionIds(sessionStorage, null).forPath('a');
  const second = await new SessionIds(sessionStorage, null).forPath('a');
  assert.notEqual(second, id);
  assert.match(asked[0]!, /^jupyterlite-torch:session:[0-9a-f]{64}$/);
  assert.ok(asked.every(name => !name.includes(id)));
});
