// What the page of `jupyter lite-run` does by itself: it fetches its job, starts the notebook app,
// runs the cells one by one, and tells the runner about each.

const STORED = 'lite-run:job';
const OUTPUTS_EVERY_MS = 250;

const here = new URL('.', import.meta.url);

function post(id, what, body) {
  return fetch(new URL(`${id}/${what}`, here), { method: 'POST', body: JSON.stringify(body) });
}

/** The first page: fetch the job, leave the credential where the app looks for it, start the app. */
async function start(id) {
  const job = await (await post(id, 'job', null)).json();
  for (const [key, value] of Object.entries(job.storage)) {
    sessionStorage.setItem(key, value);
  }
  sessionStorage.setItem(STORED, JSON.stringify({ ...job, storage: undefined, id }));
  location.replace(new URL(`../notebooks/index.html?path=${encodeURIComponent(job.path)}`, here));
}

/** The app's page: run the notebook. */
async function drive(job) {
  const tell = event => post(job.id, 'event', event);
  // pyodide-kernel 0.8.6 reports a Python that does not start by nothing else: an unhandled
  // rejection whose reason is a string.
  const notStarted = ({ reason }) => {
    if (typeof reason === 'string') {
      void tell({ type: 'failed', reason });
    }
  };
  window.addEventListener('unhandledrejection', notStarted);
  try {
    const app = await appeared(() => window.jupyterapp);
    await app.restored;
    const panel = await appeared(() => app.shell.currentWidget?.context && app.shell.currentWidget);
    await panel.context.ready;
    await panel.sessionContext.ready;
    await panel.revealed;
    const kernel = panel.sessionContext.session?.kernel;
    if (!kernel) {
      throw new Error('the notebook has no kernel');
    }
    await kernel.info;
    window.removeEventListener('unhandledrejection', notStarted);
    await tell({ type: 'ready' });
    const cells = panel.content.widgets.map((cell, index) => ({ cell, index }));
    for (const { cell, index } of cells.filter(({ cell }) => cell.model.type === 'code')) {
      await tell({ type: 'start', index });
      const raised = await runCell(app, panel, cell, outputs =>
        tell({ type: 'outputs', index, outputs })
      );
      await tell({ type: 'end', index, raised, ...result(cell) });
      if (raised && !job.allowErrors && !mayRaise(cell)) {
        break;
      }
    }
    // Later cells can change outputs of earlier ones (`update_display`).
    for (const { cell, index } of cells.filter(({ cell }) => cell.model.type === 'code')) {
      if (cell.model.executionCount !== null) {
        await tell({ type: 'outputs', index, outputs: cell.model.outputs.toJSON() });
      }
    }
    await tell({ type: 'done' });
  } catch (error) {
    await tell({ type: 'failed', reason: String(error?.message ?? error) });
  }
}

/** Run one cell to its end; true if it raised. */
async function runCell(app, panel, cell, onOutputs) {
  let timer = null;
  const changed = () => {
    timer ??= setTimeout(() => {
      timer = null;
      onOutputs(cell.model.outputs.toJSON());
    }, OUTPUTS_EVERY_MS);
  };
  let status = 'ok';
  const kernel = panel.sessionContext.session.kernel;
  const replied = (_, { direction, msg }) => {
    if (direction === 'recv' && msg.header.msg_type === 'execute_reply') {
      status = msg.content.status;
    }
  };
  cell.model.outputs.changed.connect(changed);
  kernel.anyMessage.connect(replied);
  try {
    panel.content.activeCellIndex = panel.content.widgets.indexOf(cell);
    await app.commands.execute('notebook:run-cell');
  } finally {
    kernel.anyMessage.disconnect(replied);
    cell.model.outputs.changed.disconnect(changed);
    clearTimeout(timer);
  }
  return status !== 'ok';
}

function result(cell) {
  return { outputs: cell.model.outputs.toJSON(), execution_count: cell.model.executionCount };
}

function mayRaise(cell) {
  return (cell.model.getMetadata('tags') ?? []).includes('raises-exception');
}

/** Resolves to what `look` returns, once that is something. */
async function appeared(look) {
  for (;;) {
    const found = look();
    if (found) {
      return found;
    }
    await new Promise(resolve => requestAnimationFrame(resolve));
  }
}

const stored = sessionStorage.getItem(STORED);
if (stored !== null) {
  void drive(JSON.parse(stored));
} else {
  void start(location.hash.slice(1));
}
