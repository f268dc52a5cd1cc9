/** Bytes and seconds as people write them. */

import { clock } from './status/status-item';

export { clock };

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

/** As `3.2 GiB`. */
export function size(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit && value < 10 ? value.toFixed(1) : Math.round(value)} ${UNITS[unit]}`;
}

/** As `12 ms`, `0.12 s`, `3.4 s`, `1:02` or `1:02:03`. */
export function duration(seconds: number): string {
  if (seconds < 0.0995) {
    return `${Math.round(seconds * 1000)} ms`;
  }
  if (seconds < 59.95) {
    return `${seconds < 1 ? seconds.toFixed(2) : seconds.toFixed(1)} s`;
  }
  return clock(seconds);
}

/** In its largest unit, as `3 h`. */
export function age(seconds: number): string {
  for (const [unit, name] of [
    [86400, 'd'],
    [3600, 'h'],
    [60, 'min']
  ] as const) {
    if (seconds >= unit) {
      return `${Math.floor(seconds / unit)} ${name}`;
    }
  }
  return `${Math.max(0, Math.floor(seconds))} s`;
}
