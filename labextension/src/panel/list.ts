// A list of tasks of any length: only the rows that are in sight are on the page.
//
// Rules: rows are of one height, so a place is a multiplication; a row that scrolls out of sight shows another task
// next; painting touches what differs, asks for no layout, and rests while nobody sees the list. To a keyboard and a
// screen reader it is a listbox: its options say which of how many they are, though most of them are not there.

import type { TranslationBundle } from '@jupyterlab/translation';
import { h, setAttribute, setStyle } from '../dom';
import { day } from '../words';
import type { Known } from './listing';
import { Row } from './row';

export const ROW_HEIGHT = 70;
const AROUND = 4; // rows beyond each edge
const NO_LAYOUT_HEIGHT = 600; // where nothing is laid out, as in a test without a browser

export interface Listeners {
  select: (taskId: string) => void;
  /** The end of what is there is near: there may be more. */
  nearEnd: () => void;
  /** Which tasks have a row on the page; none while nobody sees the list. */
  shown: (models: readonly Known[]) => void;
}

let made = 0;

export class TaskList {
  readonly node: HTMLElement;

  constructor(
    private _listeners: Listeners,
    private _trans: TranslationBundle
  ) {
    this._prefix = `phasenb-list-${++made}`;
    this._space = h('div', { class: 'phasenb-list-space', role: 'presentation' });
    const label = _trans.__('Tasks');
    const keydown = (event: Event) => this._key(event as KeyboardEvent);
    const scroll = () => {
      this._top = this.node.scrollTop;
      this._inFrame();
    };
    const about = { class: 'phasenb-list', role: 'listbox', tabindex: 0, 'aria-label': label };
    this.node = h('div', { ...about, keydown, scroll }, this._space);
    if (typeof ResizeObserver !== 'undefined') {
      this._height = 0; // until it is told
      this._resized = new ResizeObserver(([entry]) => {
        const hidden = this._height === 0;
        this._height = entry?.contentRect.height ?? 0;
        if (hidden) {
          this.node.scrollTop = this._top; // not every browser keeps it for what is not laid out
        }
        this._inFrame();
      });
      this._resized.observe(this.node);
    }
  }

  dispose(): void {
    this._resized?.disconnect();
  }

  get items(): readonly Known[] {
    return this._items;
  }

  /** Whether somebody can see it, as far as was told. */
  get isSeen(): boolean {
    return this._height > 0;
  }

  /** Show other tasks, or the same in another order. */
  setItems(items: Known[]): void {
    this._items = items;
    this._space.style.height = `${items.length * ROW_HEIGHT}px`;
    this._top = Math.min(this._top, Math.max(0, items.length * ROW_HEIGHT - this._height));
    this.paint();
  }

  setSelected(taskId: string | null): void {
    this._selected = taskId;
    this._active = taskId ?? this._active;
    this.paint();
  }

  scrollTo(top: number): void {
    this.node.scrollTop = top;
    this._top = top; // that it scrolled is told later
  }

  /** Bring the rows in sight up to date. */
  paint(): void {
    if (!this.isSeen) {
      this._listeners.shown([]);
      return;
    }
    const first = Math.max(0, Math.floor(this._top / ROW_HEIGHT) - AROUND);
    const last = Math.min(this._items.length, Math.ceil((this._top + this._height) / ROW_HEIGHT) + AROUND);
    const shown = this._items.slice(first, last);
    const wanted = new Set(shown.map(model => model.taskId));
    const free = [...this._rows].filter(([taskId]) => !wanted.has(taskId));
    const today = day(new Date());
    shown.forEach((model, index) => {
      let row = this._rows.get(model.taskId);
      if (row === undefined) {
        row = this._take(free.pop(), model.taskId);
      }
      this._place(row, model, first + index);
      row.update(model, today);
    });
    for (const [taskId, row] of free) {
      this._rows.delete(taskId);
      row.node.remove();
    }
    const active = this._active !== null && wanted.has(this._active) ? `${this._prefix}-${this._active}` : '';
    setAttribute(this.node, 'aria-activedescendant', active);
    this._listeners.shown(shown);
    if (last > this._items.length - AROUND) {
      this._listeners.nearEnd();
    }
  }

  private _take(free: [string, Row] | undefined, taskId: string): Row {
    const row = free?.[1] ?? new Row(this._trans);
    if (free === undefined) {
      const click = () => this._choose(row.node.dataset.taskId ?? '');
      row.node.addEventListener('click', click);
      this._space.append(row.node);
    } else {
      this._rows.delete(free[0]);
    }
    row.node.dataset.taskId = taskId;
    row.node.id = `${this._prefix}-${taskId}`;
    this._rows.set(taskId, row);
    return row;
  }

  private _place({ node }: Row, model: Known, index: number): void {
    setStyle(node, 'transform', `translateY(${index * ROW_HEIGHT}px)`);
    setAttribute(node, 'aria-posinset', String(index + 1));
    setAttribute(node, 'aria-setsize', String(this._items.length));
    setAttribute(node, 'aria-selected', String(model.taskId === this._selected));
    node.classList.toggle('phasenb-active', model.taskId === this._active);
  }

  private _key(event: KeyboardEvent): void {
    const now = this._items.findIndex(model => model.taskId === this._active);
    const page = Math.max(1, Math.floor(this._height / ROW_HEIGHT) - 1);
    const last = this._items.length - 1;
    const steps: Record<string, number> = {
      ArrowDown: now + 1,
      ArrowUp: Math.max(0, now - 1),
      PageDown: now + page,
      PageUp: Math.max(0, now - page),
      Home: 0,
      End: last
    };
    const target = this._items[Math.min(last, steps[event.key] ?? -1)];
    if (event.key in steps && target !== undefined) {
      this._active = target.taskId;
      this._reveal(this._items.indexOf(target));
      this.paint();
    } else if ((event.key === 'Enter' || event.key === ' ') && this._active !== null && now >= 0) {
      this._choose(this._active);
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }

  private _reveal(index: number): void {
    const [top, bottom] = [index * ROW_HEIGHT, (index + 1) * ROW_HEIGHT];
    if (top < this._top) {
      this.scrollTo(top);
    } else if (bottom > this._top + this._height) {
      this.scrollTo(bottom - this._height);
    }
  }

  private _choose(taskId: string): void {
    this._active = taskId;
    this._listeners.select(taskId);
  }

  private _inFrame(): void {
    if (!this._waiting) {
      this._waiting = true;
      requestAnimationFrame(() => {
        this._waiting = false;
        this.paint();
      });
    }
  }

  private _items: Known[] = [];
  private _rows = new Map<string, Row>();
  private _selected: string | null = null;
  private _active: string | null = null;
  private _top = 0;
  private _height = NO_LAYOUT_HEIGHT;
  private _waiting = false;
  private _prefix: string;
  private _space: HTMLElement;
  private _resized: ResizeObserver | null = null;
}
