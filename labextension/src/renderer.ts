// A task in a cell's output, live from the server, without a kernel.
//
// Rule: it is ranked before ipywidgets, so whatever happens to the kernel or to a widget's model, a cell that has this
// MIME type shows the truth, or the last snapshot and of which time it is.

import type { IRenderMime } from '@jupyterlab/rendermime-interfaces';
import type { TranslationBundle } from '@jupyterlab/translation';
import { Widget } from '@lumino/widgets';
import type { TaskState } from './protocol';
import type { TaskStore } from './store';
import { TASK_MIME } from './tokens';
import { type Saved, TaskView } from './view';

export const RANK = -20; // ipywidgets' is -10

/** What phasenb/display/bundle.py writes. */
interface Payload {
  task_id: string;
  snapshot?: TaskState;
  at?: string;
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
    const { task_id, snapshot, at } = model.data[TASK_MIME] as unknown as Payload;
    const shown = this._view?.model;
    if (shown?.taskId === task_id && (shown.live || snapshot === undefined || snapshot.seq <= shown.seq)) {
      return; // an output that is told again: what the server says is newer
    }
    this._view?.dispose();
    const saved: Saved | null = snapshot === undefined ? null : { snapshot, at: new Date(at ?? snapshot.updated_at) };
    this._view = new TaskView({ store: this._store, taskId: task_id, saved, trans: this._trans });
    this.node.append(this._view.node);
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
