// The side panel: all tasks of the user, live, found by words and states; one of them in full.
//
// Rules: one feed tells of everything; what is older is loaded in pages, when the end of the list comes into sight or a
// search has not found enough; nothing is painted while the panel is not seen.

import type { TranslationBundle } from '@jupyterlab/translation';
import { type LabIcon, searchIcon } from '@jupyterlab/ui-components';
import type { Message } from '@lumino/messaging';
import { Panel, Widget } from '@lumino/widgets';
import { h, setAttribute, setHidden, setOptional, setText } from '../dom';
import type { TaskModel } from '../model';
import { connectionSentence } from '../sentences';
import type { TaskStore } from '../store';
import { TaskDetail } from './detail';
import { TaskList } from './list';
import { Census, counted, EVERYTHING, FILTERS, type Filter, listed, type Query } from './listing';
import type { Origin } from './notebook';

const PAGE = 500;

export namespace TaskPanel {
  export interface IOptions {
    store: TaskStore;
    trans: TranslationBundle;
    icon: LabIcon;
    origin: (model: TaskModel) => Origin | null;
    openNotebook: (path: string) => Promise<void>;
    launch: () => void;
  }
}

export class TaskPanel extends Panel {
  readonly store: TaskStore;

  constructor(private _options: TaskPanel.IOptions) {
    super();
    const { trans, store } = _options;
    this.store = store;
    this.id = 'phasenb-panel';
    this.addClass('phasenb-panel');
    this.title.icon = _options.icon;
    this.title.caption = trans.__('Tasks of phasenb');
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', trans.__('Tasks'));
    this._list = new TaskList({ select: taskId => this.select(taskId), nearEnd: () => this._loadPast() }, trans);
    const head = new Widget({ node: this._buildHead() });
    const list = new Widget({ node: h('div', { class: 'phasenb-list-box' }, this._list.node, this._empty) });
    this._lower = new Panel();
    this._lower.addClass('phasenb-detail-box');
    this._lower.hide();
    for (const widget of [head, list, this._lower]) {
      this.addWidget(widget);
    }
    store.changed.connect(this._changed, this);
    store.client.connectionChanged.connect(this._paintConnection, this);
  }

  /** The chosen task. */
  get selected(): string | null {
    return this._detail?.view.model.taskId ?? null;
  }

  get query(): Query {
    return this._query;
  }

  override dispose(): void {
    if (!this.isDisposed) {
      this.store.changed.disconnect(this._changed, this);
      this.store.client.connectionChanged.disconnect(this._paintConnection, this);
      this._clear();
      this._list.dispose();
      super.dispose();
    }
  }

  /** Show a task in full; null: none. */
  select(taskId: string | null): void {
    if (taskId !== null && taskId === this.selected) {
      return;
    }
    this._clear();
    if (taskId !== null) {
      const close = () => {
        this.select(null);
        this._list.node.focus();
      };
      const { origin, openNotebook, trans } = this._options;
      this._detail = new TaskDetail({ store: this.store, taskId, trans, origin, openNotebook, close });
      this._lower.addWidget(new Widget({ node: this._detail.node }));
    }
    this._lower.setHidden(taskId === null);
    this._list.setSelected(taskId);
  }

  /** Show something else in the place of a chosen task, until one is chosen. */
  showBelow(widget: Widget): void {
    this._clear();
    this._list.setSelected(null);
    this._lower.addWidget(widget);
    this._lower.show();
  }

  private _clear(): void {
    this._detail?.dispose();
    this._detail = null;
    for (const widget of [...this._lower.widgets]) {
      widget.dispose();
    }
  }

  /** The notebook in front, by its path on the server's machine; null: none is. */
  setNotebook(notebook: string | null): void {
    this._notebook = notebook;
    setHidden(this._here, notebook === null);
    this._ask({});
  }

  protected override onAfterShow(message: Message): void {
    super.onAfterShow(message);
    this._refresh(true);
  }

  protected override onActivateRequest(_: Message): void {
    this._search.focus();
  }

  // --- parts -----------------------------------------------------------------------------------------------------

  private _buildHead(): HTMLElement {
    const { trans, launch } = this._options;
    const button = h('button', { type: 'button', class: 'phasenb-button phasenb-launch', click: launch });
    button.textContent = trans.__('Launch…');
    const title = h('h2', {}, trans.__('Tasks'));
    const input = () => this._ask({ text: this._search.value });
    const looks = { type: 'search', placeholder: trans.__('Search'), 'aria-label': trans.__('Search tasks') };
    this._search = h('input', { ...looks, class: 'phasenb-search', input });
    const field = h('div', { class: 'phasenb-search-box' }, searchIcon.element({ tag: 'span' }), this._search);
    const chips = h('div', { class: 'phasenb-chips', role: 'group', 'aria-label': trans.__('Show') });
    for (const filter of FILTERS) {
      const click = () => this._ask({ filter });
      const chip = h('button', { type: 'button', class: 'phasenb-chip', click });
      this._chips.set(filter, chip);
      chips.append(chip);
    }
    const own = h('input', { type: 'checkbox' });
    own.addEventListener('change', () => this._ask({ notebook: own.checked ? this._notebook : null }));
    this._own = own;
    this._here = h('label', { class: 'phasenb-here', hidden: true }, own, trans.__('Only of the notebook in front'));
    this._connection = h('p', { class: 'phasenb-panel-connection', role: 'status', hidden: true });
    this._found = h('p', { class: 'phasenb-hidden', role: 'status' });
    const top = h('div', { class: 'phasenb-panel-top' }, title, button);
    this._paintChips();
    return h('div', { class: 'phasenb-panel-head' }, top, field, chips, this._here, this._connection, this._found);
  }

  private _paintChips(): void {
    const { trans } = this._options;
    const { live, approval } = counted(this.store.tasks.values());
    const labels: Record<Filter, string> = {
      all: trans.__('All'),
      live: live ? trans.__('Live %1', live) : trans.__('Live'),
      approval: approval ? trans.__('To approve %1', approval) : trans.__('To approve'),
      completed: trans.__('Completed'),
      failed: trans.__('Failed'),
      cancelled: trans.__('Cancelled')
    };
    for (const [filter, chip] of this._chips) {
      setText(chip, labels[filter]);
      setAttribute(chip, 'aria-pressed', String(filter === this._query.filter));
    }
  }

  private _paintConnection(): void {
    const { trans } = this._options;
    const sentence = connectionSentence(this.store.client.connection, this._goesOn(), trans);
    setOptional(this._connection, sentence);
    this._paintEmpty();
  }

  private _goesOn(): boolean {
    return counted(this.store.tasks.values()).live > 0;
  }

  private _paintEmpty(): void {
    const { trans } = this._options;
    const nothing = this._list.items.length === 0 && this.store.complete && this._wholePast;
    const asked = this._query.text || this._query.filter !== 'all' || this._query.notebook !== null;
    setOptional(
      this._empty,
      !nothing
        ? null
        : asked
          ? trans.__('No task is like that.')
          : trans.__('No tasks yet. Launch one from a notebook, or with the button above.')
    );
  }

  // --- the list --------------------------------------------------------------------------------------------------

  private _ask(change: Partial<Query>): void {
    const notebook = this._own.checked ? this._notebook : null;
    this._query = { ...this._query, notebook, ...change };
    this._list.node.scrollTop = 0;
    this._refresh(true);
  }

  private _changed(): void {
    if (this.isVisible) {
      this._refresh(false);
    }
  }

  private _refresh(anew: boolean): void {
    if (this._census.moved(this.store.tasks) || anew) {
      this._list.setItems(listed(this.store.tasks.values(), this._query));
      this._paintChips();
      this._paintEmpty();
      const count = this._list.items.length;
      setText(this._found, this._options.trans._n('%1 task', '%1 tasks', count));
    } else {
      this._list.paint();
    }
  }

  /** One more page of what ended before, as long as there is one. */
  private async _loadPast(): Promise<void> {
    if (this._loading || this._wholePast || !this.isVisible || this.store.client.connection.kind !== 'connected') {
      return;
    }
    this._loading = true;
    try {
      this._before = await this.store.loadPast(PAGE, this._before);
      this._wholePast = this._before === null;
    } catch {
      return; // the connection says what is wrong; scrolling, and each new connection, asks again
    } finally {
      this._loading = false;
    }
    this._refresh(true);
  }

  private _list: TaskList;
  private _lower: Panel;
  private _detail: TaskDetail | null = null;
  private _census = new Census();
  private _query: Query = EVERYTHING;
  private _notebook: string | null = null;
  private _before: string | null = null;
  private _wholePast = false;
  private _loading = false;
  private _chips = new Map<Filter, HTMLButtonElement>();
  private _empty = h('p', { class: 'phasenb-empty', role: 'status', hidden: true });
  private _search!: HTMLInputElement;
  private _own!: HTMLInputElement;
  private _here!: HTMLElement;
  private _connection!: HTMLElement;
  private _found!: HTMLElement;
}
