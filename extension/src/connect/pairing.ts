/** Connects the page to the proxy that a pairing link names. */

import { Dialog, showDialog, showErrorMessage } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';

import { hostOf, resourceUrl } from './address';
import type { IServer } from '../messages';
import type { IPairingLink } from './pairing-link';
import { QuestionBody } from '../question-body';

const LIMIT_MS = 20_000;

/** The server, or null if the person said no or it failed, which a dialog has told. */
export async function pairByLink(
  link: IPairingLink,
  trans: TranslationBundle
): Promise<IServer | null> {
  const { url, code } = link;
  if (url === null) {
    await showErrorMessage(
      trans.__('The link does not connect'),
      trans.__(
        'It names no address of a server (http://... or https://...). Copy the whole link that `jupyter torch-proxy` prints.'
      )
    );
    return null;
  }
  if (!(await agrees(url, trans))) {
    return null;
  }
  try {
    return { url, token: await exchangeCode(url, code, trans) };
  } catch (error) {
    await showErrorMessage(
      trans.__('Could not connect to %1', hostOf(url)),
      error instanceof Error ? error.message : String(error)
    );
    return null;
  }
}

async function agrees(url: string, trans: TranslationBundle): Promise<boolean> {
  const result = await showDialog({
    title: trans.__('Connect to %1?', hostOf(url)),
    body: new QuestionBody([
      trans.__('Connect this page (%1) to %2?', window.location.origin, url),
      trans.__(
        'Its %1 cells will run there with the rights of the person who started it.',
        '%%torch'
      ),
      trans.__('Say yes only if you started it yourself, or know who did.')
    ]),
    buttons: [
      Dialog.cancelButton({ label: trans.__('Cancel') }),
      Dialog.okButton({ label: trans.__('Connect') })
    ],
    // Anybody can make such a link, so the Enter key alone does not accept it.
    defaultButton: 0
  });
  return result.button.accept;
}

/** The token for a one-time code. Throws an error with the sentence to show. */
export async function exchangeCode(
  url: string,
  code: string,
  trans: TranslationBundle
): Promise<string> {
  let response: Response;
  try {
    response = await fetch(resourceUrl(url, 'pair'), {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ code }),
      cache: 'no-store',
      credentials: 'omit',
      redirect: 'error',
      referrerPolicy: 'no-referrer',
      signal: AbortSignal.timeout(LIMIT_MS)
    });
  } catch {
    // A page is not told whether nobody answered or the answer was withheld from it.
    throw new Error(
      trans.__(
        'No answer that this page may read came from %1. Check that `jupyter torch-proxy` is running there, that it was started with `--origin %2`, and that the browser may reach your local network from this page. Then open a new link.',
        url,
        window.location.origin
      )
    );
  }
  const body: unknown = await response.json().catch(() => null);
  const { token, reason, message } = (body ?? {}) as Record<string, unknown>;
  if (response.ok && typeof token === 'string' && token) {
    return token;
  }
  if (reason === 'token') {
    throw new Error(
      trans.__(
        'The code %1 is wrong, was used before, or is older than ten minutes. Start `jupyter torch-proxy` again, or run %2 in a cell and give its token.',
        code,
        `%torch connect ${url}`
      )
    );
  }
  throw new Error(
    typeof message === 'string'
      ? message
      : trans.__(
          '%1 answered with status %2, which is not the answer of `jupyter torch-proxy`. Check the address.',
          url,
          String(response.status)
        )
  );
}
