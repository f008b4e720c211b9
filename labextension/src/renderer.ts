// A task in a cell's output, live from the server, without a kernel.
//
// Rule: it is ranked before ipywidgets, so whatever happens to the kernel or to a widget's model, a cell that has this
// MIME type shows the truth, or the last snapshot and of which time it is. A notebook may come from anybody: what it says
// is looked at before it is used, and nothing is asked for in its name but a task's own id.

import type { IRenderMime } from '@jupyterlab/rendermime-interfaces';
import type { TranslationBundle } from '@jupyterlab/translation';
import { Widget } from '@lumino/widgets';
import type { TaskState } from './protocol';
import type { Saved } from './source';
import type { TaskStore } from './store';
import { TASK_MIME } from './tokens';
import { ACTIONS } from './transitions';
import { TaskView } from './view';

export const RANK = -20; // ipywidgets' is -10

const TASK_ID = /^[0-7][0-9A-HJKMNP-TV-Z]{25}$/; // a ULID

const WIDGET_MIME = 'application/vnd.jupyter.widget-view+json';

interface Payload {
  task_id: string;
  snapshot: TaskState;
  at: string;
  epoch: string;
  owner: unknown;
  notes: string[];
}

/** What phasenb/display/bundle.py writes: `{task_id, snapshot, at, epoch, owner, notes}`. Null where a notebook has something else there. */
function payloadOf(data: unknown): { taskId: string; saved: Saved | null } | null {
  const { task_id: taskId, snapshot, at, epoch, owner: said, notes } = (data ?? {}) as Partial<Payload>;
  if (typeof taskId !== 'string' || !TASK_ID.test(taskId)) {
    return null;
  }
  const whole = snapshot?.task_id === taskId && Array.isArray(snapshot.phases) && snapshot.state in ACTIONS;
  const time = new Date(at ?? snapshot?.updated_at ?? Number.NaN);
  const owner = typeof said === 'string' ? said : undefined;
  const told = Array.isArray(notes) ? notes.filter(note => typeof note === 'string') : [];
  return {
    taskId,
    saved: whole && !Number.isNaN(time.getTime()) ? { snapshot, at: time, epoch, owner, notes: told } : null
  };
}

/** The widget of an output is for pages that have no renderer of tasks. A notebook that was saved with it would have,
 * where there is no such page and no kernel, an error in its place instead of the HTML. Lab renders a model before it has
 * a place in its output area, and looks there as soon as the model has changed: so this waits until Lab is done.
 */
async function withoutWidget(model: IRenderMime.IMimeModel): Promise<void> {
  await Promise.resolve();
  if (WIDGET_MIME in model.data) {
    const { [WIDGET_MIME]: _, ...data } = model.data;
    model.setData({ data });
  }
}

export class TaskRenderer extends Widget implements IRenderMime.IRenderer {
  constructor(
    private _store: TaskStore,
    private _trans: TranslationBundle
  ) {
    super();
    this.addClass('phasenb-renderer');
  }

  async renderModel(model: IRenderMime.IMimeModel): Promise<void> {
    const payload = payloadOf(model.data[TASK_MIME]);
    if (payload === null) {
      this._view?.dispose();
      this._view = null;
      this.node.textContent = this._trans.__('This output names no task.');
      return;
    }
    this._show(payload.taskId, payload.saved);
    await withoutWidget(model);
  }

  private _show(taskId: string, saved: Saved | null): void {
    const shown = this._view?.model;
    if (shown?.taskId === taskId && saved?.notes !== undefined) {
      shown.notes = saved.notes;
      shown.touch();
    }
    if (shown?.taskId === taskId && (shown.live || saved === null || saved.snapshot.seq <= shown.seq)) {
      return; // an output that is told again: what the server says is newer
    }
    this._view?.dispose();
    this._view = new TaskView({ store: this._store, taskId, saved, trans: this._trans });
    this.node.replaceChildren(this._view.node);
  }

  override dispose(): void {
    this._view?.dispose();
    this._view = null;
    super.dispose();
  }

  private _view: TaskView | null = null;
}

/** `safe`: everything of a task is shown as text, so a notebook that nobody trusts may show it too. */
export function rendererFactory(store: TaskStore, trans: TranslationBundle): IRenderMime.IRendererFactory {
  return {
    safe: true,
    mimeTypes: [TASK_MIME],
    createRenderer: () => new TaskRenderer(store, trans)
  };
}
