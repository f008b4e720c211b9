// A task on a page without the extension (VS Code, Colab, another JupyterLab): an anywidget, told of by the kernel.
//
// Rules: the kernel tells unasked, from a thread of its own, so a busy one tells too; when it has been silent for a while
// nothing is shown as going on; a button asks the kernel, which asks whoever carries the task. phasenb/display/widget.py
// is the other side.

import type { TranslationBundle } from '@jupyterlab/translation';
import type { Connection, Given, Request } from './client';
import { ServerError } from './errors';
import { noteGates } from './exact';
import { type TailLine, TaskModel } from './model';
import type { LogLine, PhaseResult, TaskState } from './protocol';
import type { Asked, Source } from './source';
import { TaskView } from './view';
import { isTerminal } from './words';

/** The kernel says that it is there every 5 s. */
export const SILENCE_MS = 15_000;
/** Until no answer means that the kernel is busy. */
export const BUSY_MS = 2000;

/** What anywidget gives to `render`. */
export interface KernelModel {
  get(trait: 'told' | 'at'): string;
  on(event: string, callback: (content: Answer) => void): void;
  off(event: string, callback: (content: Answer) => void): void;
  send(content: object): void;
}

/** The trait `told`, as JSON. */
interface Told {
  snapshot: TaskState;
  tail: LogLine[];
  notes: string[];
}

/** How it went with what was asked under `id`. */
export interface Answer {
  id?: number;
  error?: { code: string; message: string; details: { [name: string]: unknown } } | null;
}

interface Pending {
  resolve: () => void;
  reject: (error: Error) => void;
  timer: ReturnType<typeof setTimeout>;
}

/** The one task of a widget's model, as a source for its view. */
export class Kernel implements Source, Asked {
  readonly client = this;
  readonly welcome = null;
  readonly task: TaskModel;

  constructor(private _model: KernelModel) {
    this.task = new TaskModel((JSON.parse(_model.get('told')) as Told).snapshot.task_id, task => this._touch(task));
    _model.on('change:told', this._told);
    _model.on('change:at', this._heard);
    _model.on('msg:custom', this._answered);
    this._told();
    const at = new Date(_model.get('at'));
    if (Date.now() - at.getTime() > SILENCE_MS) {
      this._fallSilent(at); // a page that was exported, or a kernel that is gone
    }
  }

  dispose(): void {
    this._model.off('change:told', this._told);
    this._model.off('change:at', this._heard);
    this._model.off('msg:custom', this._answered);
    clearTimeout(this._silence);
    for (const { timer } of this._pending.values()) {
      clearTimeout(timer);
    }
  }

  get connection(): Connection {
    return { kind: this._silent ? 'silent' : this._busy ? 'busy' : 'connected' };
  }

  follow(): TaskModel {
    return this.task;
  }

  release(): void {}

  connect(): void {}

  request(request: Request, _take?: undefined, given: Given = {}): Promise<void> {
    const id = ++this._ids;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this._busy = true;
        this.task.touch();
      }, BUSY_MS);
      this._pending.set(id, { resolve, reject, timer });
      this._model.send({ id, request, given });
    });
  }

  get(): Promise<Response> {
    return Promise.reject(new ServerError('not_found', 'a widget has no HTTP interface'));
  }

  async result(): Promise<PhaseResult | undefined> {
    return undefined; // the snapshot's own line is shown; a task that has ended is replaced by HTML anyway
  }

  private _told = () => {
    const text = this._model.get('told');
    if (text === '') {
      return; // it has ended: other code shows it, in a moment
    }
    const told = JSON.parse(text) as Told;
    noteGates({ type: 'told', snapshot: told.snapshot }, text);
    const { task } = this;
    task.notes = told.notes.join('\n') === task.notes.join('\n') ? task.notes : told.notes;
    task.tail = told.tail.map((line, index): TailLine => ({ ...line, phase: '', attempt: 0, line: index }));
    task.reset(told.snapshot);
    this._heard();
  };

  private _heard = () => {
    this._silent = false;
    this.task.setLive(true);
    clearTimeout(this._silence);
    const at = new Date();
    this._silence = setTimeout(() => this._fallSilent(at), SILENCE_MS);
  };

  private _fallSilent(since: Date): void {
    clearTimeout(this._silence);
    if (this.task.state !== null && isTerminal(this.task.state.state)) {
      return; // there is nothing more to tell
    }
    this._silent = true;
    this.task.asOf = since;
    this.task.setLive(false);
  }

  private _answered = ({ id, error }: Answer) => {
    const pending = this._pending.get(id ?? 0);
    if (pending === undefined) {
      return;
    }
    clearTimeout(pending.timer);
    this._pending.delete(id ?? 0);
    this._busy = false;
    this.task.touch();
    if (error) {
      pending.reject(new ServerError(error.code, error.message, error.details));
    } else {
      pending.resolve();
    }
  };

  /** Painted with the page's next frame, once for all that was told until then. */
  private _touch(task: TaskModel): void {
    if (!this._waiting) {
      this._waiting = true;
      requestAnimationFrame(() => {
        this._waiting = false;
        task.tell();
      });
    }
  }

  private _pending = new Map<number, Pending>();
  private _ids = 0;
  private _silence: ReturnType<typeof setTimeout> | undefined;
  private _silent = false;
  private _busy = false;
  private _waiting = false;
}

/** What the view says, as it stands in the source: these pages have no translations, and Lab's translator is 170 kB. */
const ENGLISH = {
  __: filled,
  _n: (one: string, many: string, n: number) => filled(n === 1 ? one : many, n)
} as TranslationBundle;

function filled(text: string, ...values: unknown[]): string {
  return text.replace(/%(\d)/g, (_, number) => String(values[number - 1]));
}

function render({ model, el }: { model: KernelModel; el: HTMLElement }): () => void {
  const kernel = new Kernel(model);
  const view = new TaskView({ store: kernel, taskId: kernel.task.taskId, trans: ENGLISH });
  el.classList.add('phasenb-widget');
  el.append(view.node);
  model.send({ drawn: true });
  return () => {
    view.dispose();
    kernel.dispose();
  };
}

export default { render };
