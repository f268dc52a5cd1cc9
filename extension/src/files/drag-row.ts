/** Lets a row be dragged to JupyterLab's file browser. */

import { MimeData } from '@lumino/coreutils';
import { Drag } from '@lumino/dragdrop';

const MIME = 'application/x-jupyterlite-torch-file';
/** A click moves the mouse by less. */
const FAR_PX = 5;

/** Call `onDrop` when the row is dropped on the file browser. */
export function dragRow(row: HTMLElement, name: string, onDrop: () => void): void {
  row.addEventListener('pointerdown', down => {
    if (down.button !== 0 || (down.target as HTMLElement).closest('button')) {
      return;
    }
    const move = (event: PointerEvent) => {
      if (Math.hypot(event.clientX - down.clientX, event.clientY - down.clientY) >= FAR_PX) {
        end();
        void drag(name, event, onDrop);
      }
    };
    const end = () => {
      document.removeEventListener('pointermove', move);
      document.removeEventListener('pointerup', end);
    };
    document.addEventListener('pointermove', move);
    document.addEventListener('pointerup', end);
  });
}

async function drag(name: string, start: PointerEvent, onDrop: () => void): Promise<void> {
  const mimeData = new MimeData();
  mimeData.setData(MIME, name);
  const dragImage = document.createElement('div');
  dragImage.className = 'jp-Torch-files-drag';
  dragImage.textContent = name;
  // The file browser itself knows files of the drive only (JupyterLab 4.6).
  const over = (event: Event) => {
    const { target } = event;
    if (target instanceof Element && target.closest('.jp-FileBrowser')) {
      event.preventDefault();
      event.stopPropagation();
      (event as Drag.Event).dropAction = 'copy';
      if (event.type === 'lm-drop') {
        onDrop();
      }
    }
  };
  const types = ['lm-dragenter', 'lm-dragover', 'lm-drop'];
  types.forEach(type => document.addEventListener(type, over, true));
  const made = new Drag({
    mimeData,
    dragImage,
    supportedActions: 'copy',
    proposedAction: 'copy'
  });
  await made.start(start.clientX, start.clientY);
  types.forEach(type => document.removeEventListener(type, over, true));
  made.dispose();
}
