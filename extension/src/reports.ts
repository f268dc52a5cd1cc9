/** Reads what kernels report, where it is shown: until then the page does not load this. */

import type { IReceipt, ITransfer, ITransferMessage } from './messages';

/** In characters; of what a cell's names can make longer than anybody reads. */
const LONGEST_NAME = 200;

function number(value: unknown): number | null {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : null;
}

/** A transfer as a kernel tells of it, or null if it can not be understood. */
export function readTransfer(message: ITransferMessage): ITransfer | null {
  const { id } = message;
  const fields = message as unknown as Record<string, unknown>;
  const { name } = fields;
  const done = number(fields.done);
  const total = number(fields.total);
  return typeof name === 'string' && done !== null && total !== null
    ? { id, name: name.slice(0, LONGEST_NAME), done, total, left: number(fields.left) }
    : null;
}

/** What a cell took, as far as it can be understood. */
export function readReceipt(data: object | null): IReceipt | null {
  if (data === null) {
    return null;
  }
  const { device, seconds, peak, bytes_up, bytes_down } = data as Record<string, unknown>;
  return {
    device: typeof device === 'string' ? device.slice(0, LONGEST_NAME) : null,
    seconds: number(seconds),
    peak: number(peak),
    bytesUp: number(bytes_up) ?? 0,
    bytesDown: number(bytes_down) ?? 0
  };
}
