/**
 * Connects to a server, and finds out why that fails.
 *
 * A page is told nothing about an answer that is not meant for it, so what is wrong is put together
 * from several questions.
 */

import { PageConfig } from '@jupyterlab/coreutils';
import type { TranslationBundle } from '@jupyterlab/translation';

import { clockFault, siteClock } from './clock';
import { hostOf, normalAddress, resourceUrl } from './address';
import type { IServer } from '../messages';

/** The protocol that this page speaks; `PROTOCOL` of the proxy's settings.py. */
export const PROTOCOL = 1;

const LIMIT_MS = 20_000;
const CODE = /^[A-Z2-9]{4}-?[A-Z2-9]{4}$/i;
/** Permissions that Chrome has asked for since 142 and 147, before a page may reach such addresses. */
const PERMISSIONS = ['loopback-network', 'local-network', 'local-network-access'];

/** Why it could not connect: what happened, and what to do next, with lines that can be copied. */
export class ConnectFault extends Error {
  constructor(
    readonly kind:
      | 'address'
      | 'mixed-content'
      | 'permission'
      | 'silent'
      | 'not-readable'
      | 'not-proxy'
      | 'refused'
      | 'credential'
      | 'version'
      | 'websocket',
    message: string,
    readonly commands: string[] = []
  ) {
    super(message);
  }

  /** All of it as plain text. */
  get text(): string {
    return [this.message, ...this.commands.map(command => `    ${command}`)].join('\n');
  }
}

export class Doctor {
  constructor(private readonly _trans: TranslationBundle) {}

  /** The server at an address, for its token or a one-time code. Throws a ConnectFault. */
  async connect(address: string, credential: string): Promise<IServer> {
    const url = this.look(address);
    const token = CODE.test(credential) ? await this._redeem(url, credential) : credential;
    await this._describe(url, token);
    await this._openChannel(url);
    return { url, token };
  }

  /** What is to be said of a server, with the token that the page has for it, if it has one. */
  async report(address: string, token: string | null): Promise<string> {
    const trans = this._trans;
    const lines = [trans.__('Page: %1', window.location.origin), trans.__('Server: %1', address)];
    try {
      const url = this.look(address);
      const { version, time } = await this._describe(url, token ?? '');
      await this._openChannel(url);
      const clock = clockFault(time * 1000, trans);
      lines.push(
        trans.__(
          'Nothing is wrong: it has jupyterlite-torch %1, lets this page in and knows its token, and its WebSocket opens.',
          version
        ),
        ...(clock
          ? [`${clock} ${trans.__('Ages of sessions are said wrong; set the clock.')}`]
          : [])
      );
    } catch (error) {
      if (!(error instanceof ConnectFault)) {
        throw error;
      }
      lines.push(
        token === null && error.kind === 'credential'
          ? trans.__(
              'It lets this page in, which has no token for it: %1 asks for that.',
              `%torch connect ${address}`
            )
          : error.text
      );
    }
    return lines.join('\n');
  }

  /** The address in its one spelling, or a ConnectFault that needs no question to be known. */
  look(address: string): string {
    const trans = this._trans;
    const text = address.trim();
    const url = normalAddress(text.includes('://') ? text : `http://${text}`);
    if (url === null || !text) {
      throw new ConnectFault(
        'address',
        trans.__(
          'This is no address of a server. It looks like http://127.0.0.1:8889, and `jupyter torch-proxy` prints it when it starts. No token belongs into it.'
        )
      );
    }
    const { protocol, hostname, port } = new URL(url);
    if (protocol === 'http:' && !isLoopback(hostname) && window.location.protocol === 'https:') {
      throw new ConnectFault(
        'mixed-content',
        trans.__(
          'Browsers let no page on https talk to http on another machine. Forward the port of %1 to this one and connect to http://127.0.0.1:8889, or have the server speak https: the guide on hosting shows how.',
          hostname
        ),
        [`ssh -N -L 8889:127.0.0.1:${port || '8889'} ${hostname}`]
      );
    }
    return url;
  }

  /** A token for a one-time code. */
  private async _redeem(url: string, code: string): Promise<string> {
    const response = await this._ask(url, 'pair', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ code })
    });
    const { token, reason, message } = await bodyOf(response);
    if (response.ok && typeof token === 'string' && token) {
      return token;
    }
    if (reason === 'token') {
      throw new ConnectFault(
        'credential',
        this._trans.__(
          'The code %1 is wrong, was used before, or is older than ten minutes. Ask the server for another one, or give its token.',
          code
        ),
        [`jupyter torch-proxy pair --site ${siteAddress()}`]
      );
    }
    throw this._refusal(url, response, message);
  }

  /**
   * The release that the proxy has, and its clock in seconds since 1970. Throws a ConnectFault unless
   * it takes the token and speaks as the page does.
   */
  private async _describe(url: string, token: string): Promise<{ version: string; time: number }> {
    const trans = this._trans;
    const response = await this._ask(url, '', { headers: { Authorization: `token ${token}` } });
    const { name, version, protocol, time, reason, message } = await bodyOf(response);
    if (reason === 'token') {
      throw new ConnectFault(
        'credential',
        trans.__(
          '%1 does not take this token: it has a typing error, has expired, or is from an earlier start of the server. Give the one that the server printed when it started, or a one-time code.',
          hostOf(url)
        ),
        [`jupyter torch-proxy pair --site ${siteAddress()}`]
      );
    }
    if (!response.ok || name !== 'jupyterlite-torch') {
      throw this._refusal(url, response, message);
    }
    if (protocol !== PROTOCOL) {
      const older = Number(protocol) < PROTOCOL;
      throw new ConnectFault(
        'version',
        older
          ? trans.__(
              'The server has jupyterlite-torch %1, which is too old for this page. Install the release there that the page was built with.',
              String(version)
            )
          : trans.__(
              'The server has jupyterlite-torch %1, for which this page is too old. Reload the page; if that does not help, the site has to be built anew with that release.',
              String(version)
            ),
        older ? ['pip install --upgrade jupyterlite-torch'] : []
      );
    }
    return { version: String(version), time: Number(time) };
  }

  private _refusal(url: string, response: Response, message: unknown): ConnectFault {
    if (typeof message === 'string') {
      return new ConnectFault('refused', message);
    }
    return new ConnectFault(
      'not-proxy',
      this._trans.__(
        'A server answers at %1 with status %2, but it is not `jupyter torch-proxy`. Check the address.',
        url,
        String(response.status)
      )
    );
  }

  /** An answer that the page can read. */
  private async _ask(url: string, resource: string, init: RequestInit): Promise<Response> {
    try {
      return await fetch(resourceUrl(url, resource), { ...PRIVATE, ...init, signal: limit() });
    } catch {
      throw await this._whyNot(url);
    }
  }

  /** Why there was no answer that the page can read. */
  private async _whyNot(url: string): Promise<ConnectFault> {
    const trans = this._trans;
    if (await isForbidden()) {
      return new ConnectFault(
        'permission',
        trans.__(
          'The browser keeps this page from your local network. Click the symbol at the left of the address bar, allow access to devices on the local network or this device for %1, and try again.',
          window.location.origin
        )
      );
    }
    if (!(await answers(url))) {
      const text = trans.__(
        'Nothing answers at %1. Check the address, and that `jupyter torch-proxy` runs there and can be reached from this machine: through a firewall, with an SSH tunnel.',
        url
      );
      const { hostname, port, protocol } = new URL(url);
      if (protocol === 'https:') {
        const trust = trans.__(
          'Or this browser does not trust its certificate: open the address in a tab of its own, which would show that.'
        );
        const site = await siteClock();
        const clock = site === null ? null : clockFault(site, trans);
        const set =
          clock &&
          trans.__(
            'Compared with the server of this page: %1 Good certificates look expired, or not yet valid, to such a clock: set it.',
            clock
          );
        return new ConnectFault('silent', [text, trust, set].filter(Boolean).join(' '), [url]);
      }
      return new ConnectFault('silent', text, [
        `jupyter torch-proxy --origin ${window.location.origin}`,
        ...(isLoopback(hostname) ? [`ssh -N -L ${port || '8889'}:127.0.0.1:8889 GPU-MACHINE`] : [])
      ]);
    }
    return new ConnectFault(
      'not-readable',
      (await isJupyter(url))
        ? trans.__(
            'A Jupyter server answers at %1, but does not let this page in: it was started without this page among its origins, or lacks jupyterlite-torch.',
            url
          )
        : trans.__(
            'A server answers at %1, but this page may not read what it says: it does not have this page among its origins, or it is another program, such as a web server that wants a login first.',
            url
          ),
      [`jupyter torch-proxy --origin ${window.location.origin}`]
    );
  }

  private async _openChannel(url: string): Promise<void> {
    const socket = new WebSocket(resourceUrl(url, 'channel').replace(/^http/, 'ws'));
    const opened = await new Promise<boolean>(resolve => {
      socket.onopen = () => resolve(true);
      socket.onerror = () => resolve(false);
      limit().onabort = () => resolve(false);
    });
    socket.close();
    if (!opened) {
      throw new ConnectFault(
        'websocket',
        this._trans.__(
          '%1 answers, but its WebSocket can not be opened: something between here and there, such as a reverse proxy, lets no WebSocket pass. The guide on hosting has a configuration that does.',
          url
        )
      );
    }
  }
}

const PRIVATE: RequestInit = {
  cache: 'no-store',
  credentials: 'omit',
  redirect: 'error',
  referrerPolicy: 'no-referrer'
};

function limit(): AbortSignal {
  return AbortSignal.timeout(LIMIT_MS);
}

async function bodyOf(response: Response): Promise<Record<string, unknown>> {
  const body: unknown = await response.json().catch(() => null);
  return typeof body === 'object' && body !== null ? { ...body } : {};
}

/** What browsers let a page on https talk to over http. */
export function isLoopback(hostname: string): boolean {
  return (
    hostname === 'localhost' ||
    hostname.endsWith('.localhost') ||
    hostname === '[::1]' ||
    /^127(\.\d+){3}$/.test(hostname)
  );
}

async function isForbidden(): Promise<boolean> {
  for (const name of PERMISSIONS) {
    try {
      // TypeScript 5.9 knows none of these names, and a browser not all of them.
      const query = { name } as unknown as PermissionDescriptor;
      if ((await navigator.permissions.query(query)).state === 'denied') {
        return true;
      }
    } catch {
      continue;
    }
  }
  return false;
}

/** Whether anything speaks HTTP there. */
async function answers(url: string): Promise<boolean> {
  try {
    await fetch(url, { ...PRIVATE, mode: 'no-cors', redirect: 'follow', signal: limit() });
    return true;
  } catch {
    return false;
  }
}

/** Whether there is an image that every Jupyter server shows to everybody. */
function isJupyter(url: string): Promise<boolean> {
  return new Promise(resolve => {
    const image = new Image();
    image.referrerPolicy = 'no-referrer';
    image.onload = () => resolve(true);
    image.onerror = () => resolve(false);
    limit().onabort = () => resolve(false);
    image.src = `${url}/static/favicons/favicon.ico`;
  });
}

/** The address of this site, as `--site` takes it. */
function siteAddress(): string {
  return new URL(PageConfig.getBaseUrl(), window.location.href).href.replace(/\/+$/, '');
}
