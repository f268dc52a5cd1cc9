/** Buttons and lines of the sections, made as JupyterLab makes its own. */

/** A button with a text. */
export function button(label: string, title: string, onClick: () => void): HTMLButtonElement {
  const element = document.createElement('button');
  element.className = 'jp-Button jp-mod-minimal jp-Torch-action';
  element.textContent = label;
  element.title = title;
  element.addEventListener('click', onClick);
  return element;
}

/** A row of buttons. */
export function toolbar(label: string, ...buttons: HTMLButtonElement[]): HTMLElement {
  const element = document.createElement('div');
  element.className = 'jp-Torch-actions';
  element.setAttribute('role', 'group');
  element.setAttribute('aria-label', label);
  element.append(...buttons);
  return element;
}

/** A line that says what has happened, aloud too. Its room is there before it says anything. */
export function statusLine(): HTMLElement {
  const element = document.createElement('div');
  element.className = 'jp-Torch-line';
  element.setAttribute('role', 'status');
  return element;
}

/** Say something, or that it is a fault; nothing is done for what is said already. */
export function say(line: HTMLElement, text: string, fault = false): void {
  if (line.textContent !== text) {
    line.textContent = text;
    line.title = text;
  }
  line.classList.toggle('jp-Torch-fault', fault);
}
