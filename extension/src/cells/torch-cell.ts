/** What makes a cell a `%%torch` cell. */

import type { ICell } from './notebook';

/** As the magic reads it, which allows comments and empty lines before. */
const HEAD = /^((?:[ \t]*(?:#[^\n]*)?\n)*)%%torch(?:[ \t]+[^\n]*)?(?:\n|$)/;

/** From where to where its line with `%%torch` is, the line's end included; null for other cells. */
export function magicLineOf(source: string): { start: number; end: number } | null {
  const match = HEAD.exec(source);
  return match && { start: match[1]!.length, end: match[0].length };
}

export function isTorch(cell: ICell): boolean {
  return magicLineOf(cell.model.sharedModel.getSource()) !== null;
}

/** Whether it can become one, or a local one. */
export function canTurn(cell: ICell | null): cell is ICell {
  return cell !== null && cell.model.type === 'code' && !cell.readOnly;
}
