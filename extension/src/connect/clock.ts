/** Whether this device's clock is right, by what others say that it is. */

import type { TranslationBundle } from '@jupyterlab/translation';

const MINUTE_MS = 60_000;
/** Certificates, and what is said of ages, bear what a person does not see. */
const TOLERANCE_MS = 5 * MINUTE_MS;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/**
 * What is to be said of a clock that says `theirs` now, in milliseconds since 1970, as this device's
 * says `ours`; null if they agree.
 */
export function clockFault(
  theirs: number,
  trans: TranslationBundle,
  ours = Date.now()
): string | null {
  const off = ours - theirs;
  if (!(Math.abs(off) > TOLERANCE_MS)) {
    return null;
  }
  return off > 0
    ? trans.__('The clock of this device is %1 ahead of it.', duration(off, trans))
    : trans.__('The clock of this device is %1 behind it.', duration(-off, trans));
}

/** The clock of the server that this page came from, or null; pages may read no other server's. */
export async function siteClock(): Promise<number | null> {
  try {
    const response = await fetch(window.location.href, { method: 'HEAD', cache: 'no-store' });
    const date = Date.parse(response.headers.get('Date') ?? '');
    return Number.isNaN(date) ? null : date;
  } catch {
    return null;
  }
}

function duration(ms: number, trans: TranslationBundle): string {
  if (ms >= 2 * DAY_MS) {
    return trans.__('%1 days', String(Math.round(ms / DAY_MS)));
  }
  return ms >= 2 * HOUR_MS
    ? trans.__('%1 hours', String(Math.round(ms / HOUR_MS)))
    : trans.__('%1 minutes', String(Math.round(ms / MINUTE_MS)));
}
