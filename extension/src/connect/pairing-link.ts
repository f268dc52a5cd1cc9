/**
 * A link that connects the page to a proxy: `<page>#torch=<address of the proxy>&code=XXXX-XXXX`.
 * `jupyter torch-proxy` prints it.
 */

import { normalAddress } from './address';

export interface IPairingLink {
  /** Null if the link names no address that a page can connect to. */
  url: string | null;
  code: string;
}

/** What a URL's fragment asks for, or null if it is not a pairing link. */
export function readPairingLink(fragment: string): IPairingLink | null {
  const fields = new URLSearchParams(fragment.replace(/^#/, ''));
  const url = fields.get('torch');
  const code = fields.get('code');
  return url === null || code === null ? null : { url: normalAddress(url), code };
}

/** Takes pairing links out of the address bar, the one at load and later ones. */
export class PairingLinks {
  constructor() {
    const link = takePairingLink();
    if (link) {
      this._waiting.push(link);
    }
    // A link to the page that is open already loads nothing anew. JupyterLab 4.6 routes on the same
    // event, takes any fragment for a heading of the notebook and writes it to the console.
    window.addEventListener('popstate', event => {
      const link = takePairingLink();
      if (link) {
        event.stopImmediatePropagation();
        this._waiting.push(link);
        this._handOver();
      }
    });
  }

  /** Who is told of each link, of those that came before as well. */
  follow(follower: (link: IPairingLink) => void): void {
    this._follower = follower;
    this._handOver();
  }

  private _handOver(): void {
    if (this._follower) {
      this._waiting.splice(0).forEach(this._follower);
    }
  }

  private _waiting: IPairingLink[] = [];
  private _follower?: (link: IPairingLink) => void;
}

function takePairingLink(): IPairingLink | null {
  const link = readPairingLink(window.location.hash);
  if (link) {
    const { pathname, search } = window.location;
    window.history.replaceState(window.history.state, '', pathname + search);
  }
  return link;
}
