/**
 * The page that a unit test runs in: happy-dom's, under an address of its own. It is loaded before
 * the test and all that the test imports.
 */

import { GlobalRegistrator } from '@happy-dom/global-registrator';

// What a page asks and is answered goes through Node's own, which needs timers of its own kind. It
// knows no origins: what those refuse is tested in tests/browser/test_connect.py.
const network = { fetch, Headers, Request, Response, AbortController, AbortSignal };
const timers = { setTimeout, clearTimeout, setInterval, clearInterval };

GlobalRegistrator.register({
  url: 'http://127.0.0.1:8000/site/lab/index.html',
  settings: { enableImageFileLoading: true }
});

Object.assign(globalThis, network, timers, {
  // happy-dom 21 has none, and JupyterLab 4.6 renders the buttons of a dialog in one.
  requestIdleCallback: (run: () => void) => setTimeout(run),
  // Not among what it makes global.
  Option: class {
    constructor(text: string, value: string) {
      return Object.assign(document.createElement('option'), { text, value });
    }
  },
  // Its own is any event, without the place of the mouse and what is dragged.
  DragEvent: class extends MouseEvent {
    readonly dataTransfer: DataTransfer | null;

    constructor(type: string, init: DragEventInit = {}) {
      super(type, init);
      this.dataTransfer = init.dataTransfer ?? null;
    }
  },
  // Its own says nothing of an error but that it has closed.
  WebSocket: class extends WebSocket {
    constructor(url: string) {
      super(url);
      this.addEventListener('close', ({ wasClean }) => {
        if (!wasClean) {
          this.dispatchEvent(new Event('error'));
        }
      });
    }
  },
  // It has none; see testing/worker.ts.
  Worker: class extends EventTarget {}
});
