// The side panel: all tasks of the user, live, found by words and states; one of them in full.
//
// Rules: one feed tells of everything; what is older is loaded in pages, when the end of the list comes into sight or a
// search has not found enough; nothing is painted while the panel is not seen. In a narrow panel the chosen task stands
// in the place of the list, in a wide one beside it: panel.css decides, and the focus follows.

import type { TranslationBundle } from '@jupyterlab/translation';
import { addIcon, type LabIcon, searchIcon } from '@jupyterlab/ui-components';
import type { Message } from '@lumino/messaging';
import { Panel, Widget } from '@lumino/widgets';
import { ANNOUNCER } from '../announcer';
import { h, setAttribute, setHidden, setText } from '../dom';
import type { TaskModel } from '../model';
import { connectionSentence, UNREACHED } from '../sentences';
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
    const listeners = {
      select: (taskId: string) => this.select(taskId),
      nearEnd: () => this._loadPast(),
      shown: (models: readonly TaskModel[]) => store.setInSight(models)
    };
    this._list = new TaskList(listeners, trans);
    const list = h('div', { class: 'phasenb-list-box' }, this._list.node, this._buildEmpty());
    this._lower = new Panel();
    this._lower.addClass('phasenb-detail-box');
    this.addWidget(new Widget({ node: h('div', { class: 'phasenb-overview' }, this._buildHead(), list) }));
    this.addWidget(this._lower);
    this._showLower(false);
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
    const held = this.node.contains(document.activeElement);
    this._clear();
    if (taskId !== null) {
      const { origin, openNotebook, trans } = this._options;
      const close = () => this.select(null);
      this._detail = new TaskDetail({ store: this.store, taskId, trans, origin, openNotebook, close });
      this._lower.addWidget(new Widget({ node: this._detail.node }));
    }
    this._showLower(taskId !== null);
    this._list.setSelected(taskId);
    if (held) {
      this._focus();
    }
  }

  /** Show something else in the place of a chosen task, until one is chosen. */
  showBelow(widget: Widget): void {
    this._clear();
    this._list.setSelected(null);
    this._lower.addWidget(widget);
    this._showLower(true);
    this._focus();
  }

  private _clear(): void {
    this._detail?.dispose();
    this._detail = null;
    for (const widget of [...this._lower.widgets]) {
      widget.dispose();
    }
  }

  private _showLower(shown: boolean): void {
    this._lower.setHidden(!shown);
    this.toggleClass('phasenb-has-detail', shown);
  }

  /** Where the keyboard goes on: with the list; where a chosen task stands in its place, with that. */
  private _focus(): void {
    const { node, widgets } = this._lower;
    const lower = node.querySelector('button') ?? widgets[0]?.node;
    (isLaidOut(this._list.node) ? this._list.node : lower)?.focus();
  }

  /** The notebook in front, by its path on the server's machine; null: none is. */
  setNotebook(notebook: string | null): void {
    this._notebook = notebook;
    setHidden(this._own, notebook === null);
    if (this._isOnlyOwn) {
      this._ask({ notebook });
    }
  }

  protected override onAfterShow(message: Message): void {
    super.onAfterShow(message);
    this._refresh(true);
  }

  protected override onActivateRequest(_: Message): void {
    if (isLaidOut(this._search)) {
      this._search.focus();
    } else {
      this._focus();
    }
  }

  // --- parts -----------------------------------------------------------------------------------------------------

  private _buildHead(): HTMLElement {
    const { trans, launch, store } = this._options;
    const input = () => this._ask({ text: this._search.value });
    const looks = { type: 'search', placeholder: trans.__('Search'), 'aria-label': trans.__('Search tasks') };
    this._search = h('input', { ...looks, class: 'phasenb-search', input });
    const field = h('div', { class: 'phasenb-search-box' }, searchIcon.element({ tag: 'span' }), this._search);
    const about = { type: 'button', class: 'phasenb-launch', click: launch };
    const title = trans.__('Launch a task of a registered agent');
    const button = h(
      'button',
      { ...about, title, 'aria-label': trans.__('Launch…') },
      addIcon.element({ tag: 'span' })
    );
    const change = () => this._ask({ filter: this._filter.value as Filter });
    this._filter = h('select', { class: 'phasenb-filter', 'aria-label': trans.__('Show'), change });
    this._filter.append(...FILTERS.map(filter => h('option', { value: filter })));
    this._own = h('button', { type: 'button', class: 'phasenb-toggle', hidden: true, 'aria-pressed': 'false' });
    this._own.textContent = trans.__('This notebook');
    this._own.title = trans.__('Only tasks that the notebook in front launched');
    this._own.addEventListener('click', () => this._onlyOwn(!this._isOnlyOwn));
    this._connection = h('span', {});
    const retry = () => store.client.connect();
    this._tryAgain = h('button', { type: 'button', class: 'phasenb-button', click: retry }, trans.__('Try again'));
    this._state = h('p', { class: 'phasenb-panel-connection', hidden: true });
    this._state.append(this._connection, this._tryAgain);
    this._paintFilter();
    const bar = (...parts: HTMLElement[]) => h('div', { class: 'phasenb-panel-bar' }, ...parts);
    const heading = h('h2', { class: 'phasenb-hidden' }, trans.__('Tasks'));
    const rows = [bar(field, button), bar(this._filter, this._own), this._state];
    return h('div', { class: 'phasenb-panel-head' }, heading, ...rows);
  }

  /** What stands where no row does: what to do about it. */
  private _buildEmpty(): HTMLElement {
    const { icon, launch } = this._options;
    this._emptySays = h('p', {});
    const first = () => (this._asked() ? this._reset() : launch());
    this._emptyDoes = h('button', { type: 'button', class: 'phasenb-button', click: first });
    this._empty = h('div', { class: 'phasenb-empty', hidden: true });
    this._empty.append(icon.element({ tag: 'span' }), this._emptySays, this._emptyDoes);
    return this._empty;
  }

  private _paintFilter(): void {
    const { trans } = this._options;
    const { live, approval } = counted(this.store.tasks.values());
    const labels: Record<Filter, string> = {
      all: trans.__('All tasks'),
      live: live ? trans.__('Live (%1)', live) : trans.__('Live'),
      approval: approval ? trans.__('To approve (%1)', approval) : trans.__('To approve'),
      completed: trans.__('Completed'),
      failed: trans.__('Failed'),
      cancelled: trans.__('Cancelled')
    };
    for (const option of this._filter.options) {
      setText(option, labels[option.value as Filter]);
    }
  }

  private _paintConnection(): void {
    const { trans } = this._options;
    const { connection } = this.store.client;
    const sentence =
      connection.kind === 'absent'
        ? trans.__('This server does not have the phasenb extension: there are no tasks to show.')
        : connectionSentence(connection, counted(this.store.tasks.values()).live, trans);
    setHidden(this._state, sentence === null);
    setText(this._connection, sentence ?? '');
    setHidden(this._tryAgain, !UNREACHED.has(connection.kind));
    this._paintEmpty();
  }

  private _asked(): boolean {
    return this._query.text !== '' || this._query.filter !== 'all' || this._query.notebook !== null;
  }

  private _paintEmpty(): void {
    const { trans } = this._options;
    const nothing = this._list.items.length === 0 && this.store.complete && this._wholePast;
    setHidden(this._empty, !nothing);
    if (nothing) {
      const asked = this._asked();
      const none = trans.__('No tasks yet. What a notebook launches is shown here, live, and stays.');
      setText(this._emptySays, asked ? trans.__('No task is like that.') : none);
      setText(this._emptyDoes, asked ? trans.__('Show all tasks') : trans.__('Launch a task…'));
    }
  }

  // --- the list --------------------------------------------------------------------------------------------------

  private _ask(change: Partial<Query>): void {
    this._query = { ...this._query, ...change };
    this._list.scrollTo(0);
    this._refresh(true);
    const count = this._list.items.length;
    ANNOUNCER.say(this.id, this._options.trans._n('%1 task', '%1 tasks', count));
  }

  private _onlyOwn(only: boolean): void {
    this._isOnlyOwn = only;
    setAttribute(this._own, 'aria-pressed', String(only));
    this._ask({ notebook: only ? this._notebook : null });
  }

  private _reset(): void {
    this._search.value = '';
    this._filter.value = EVERYTHING.filter;
    this._query = EVERYTHING;
    this._onlyOwn(false);
    this._search.focus();
  }

  private _changed(): void {
    if (this.isVisible) {
      this._refresh(false);
    }
  }

  private _refresh(anew: boolean): void {
    if (this._census.moved(this.store.tasks) || anew) {
      this._list.setItems(listed(this.store.tasks.values(), this._query));
      this._paintFilter();
      this._paintEmpty();
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
  private _isOnlyOwn = false;
  private _before: string | null = null;
  private _wholePast = false;
  private _loading = false;
  private _search!: HTMLInputElement;
  private _filter!: HTMLSelectElement;
  private _own!: HTMLButtonElement;
  private _state!: HTMLElement;
  private _connection!: HTMLElement;
  private _tryAgain!: HTMLElement;
  private _empty!: HTMLElement;
  private _emptySays!: HTMLElement;
  private _emptyDoes!: HTMLElement;
}

/** What is not, takes no focus, and what has become so loses it. */
function isLaidOut(element: HTMLElement): boolean {
  return element.offsetParent !== null;
}
