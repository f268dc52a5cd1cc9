/** What is on its way between kernels of this page and the server. */

import { Signal } from '@lumino/signaling';

import type { ITransfer } from '../messages';
import { readTransfer } from '../reports';
import type { Line } from './line';
import type { Lines } from './lines';

/** Each transfer tells of itself several times a second, so that nothing is missed before this is. */
export class Transfers {
  constructor(lines: Pick<Lines, 'transferred'>) {
    lines.transferred.connect((_, { line, message }) => {
      if (message === null) {
        this.forget(line);
      } else if (message.type === 'transfer-ended') {
        this.ended(line, message.id);
      } else {
        const transfer = readTransfer(message);
        if (transfer) {
          this.moved(line, transfer);
        }
      }
    });
  }

  /** Emitted when one has begun, has come further, or has ended. */
  readonly changed = new Signal<this, void>(this);

  /** Those under way, the oldest first. */
  get now(): readonly ITransfer[] {
    return Array.from(this._under, ([, { transfer }]) => transfer);
  }

  /** End one, as Stop would. */
  cancel(id: string): void {
    this._under.get(id)?.line.send({ type: 'cancel', id });
  }

  /** One has begun or come further. */
  moved(line: Line, transfer: ITransfer): void {
    this._under.set(transfer.id, { line, transfer });
    this.changed.emit();
  }

  /** One has ended, well or not. */
  ended(line: Line, id: string): void {
    if (this._under.get(id)?.line === line) {
      this._under.delete(id);
      this.changed.emit();
    }
  }

  /** The line is closed, and nothing goes on behind it. */
  forget(line: Line): void {
    for (const [id, { line: other }] of this._under) {
      if (other === line) {
        this.ended(line, id);
      }
    }
  }

  private _under = new Map<string, { line: Line; transfer: ITransfer }>();
}
