/** Sizes and times as people read them. */

const UNITS: [number, string][] = [
  [2 ** 40, 'TiB'],
  [2 ** 30, 'GiB'],
  [2 ** 20, 'MiB'],
  [2 ** 10, 'KiB']
];

/** As `1.5 MiB`; empty for what nobody knows. */
export function sizeText(bytes: number | null): string {
  if (bytes === null) {
    return '';
  }
  for (const [unit, name] of UNITS) {
    if (bytes >= unit) {
      const value = bytes / unit;
      return `${value < 10 ? value.toFixed(1) : value.toFixed(0)} ${name}`;
    }
  }
  return `${bytes} B`;
}

/** Seconds in their largest unit, as `3 h`. */
export function ageText(seconds: number): string {
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
