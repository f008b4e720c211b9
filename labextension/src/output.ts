// What a finished task gave: a table, a figure, text or JSON, and the artifacts that its last phase kept.
//
// Rules: bytes come from people's code, so they are shown as text or as an image and never become part of the page,
// whatever type they claim to be; they are fetched when somebody can see them, once.

import type { TranslationBundle } from '@jupyterlab/translation';
import { h } from './dom';
import type { Artifact, Head, Json, PhaseResult, TaskState } from './protocol';
import { isReference } from './reducer';
import type { Asked, Source } from './source';
import { pathOf } from './store';
import { plain, printable } from './words';

const ROWS = 20;
const COLUMNS = 12;
/** The artifact that is the picture of a returned figure: there is nothing else to show of it. */
const PICTURE = 'output';

export class Output {
  readonly node = h('div', { class: 'phasenb-output', hidden: true });

  constructor(
    private _store: Source,
    private _trans: TranslationBundle
  ) {}

  /** `fetch`: the server can be asked. Until it has answered, the line that the snapshot has is shown. */
  update(task: TaskState, fetch: boolean): void {
    const last = task.phases[task.phases.length - 1];
    const done = task.state === 'completed' && last !== undefined;
    const key = done ? `${task.seq} ${fetch}` : '';
    if (key === this._key) {
      return;
    }
    this._key = key;
    this.node.hidden = !done;
    if (!done) {
      this._show([]);
      return;
    }
    const line = last.output_preview;
    if (this.node.childElementCount === 0) {
      this._show(line === null || line === 'null' ? [] : [this._pre(line)]);
    }
    if (fetch) {
      this._load(task.task_id, last.name, key).catch(error => {
        if (this._key === key) {
          console.warn('phasenb: no result:', error);
        }
      });
    }
  }

  dispose(): void {
    this._key = '';
    this._show([]);
  }

  private async _load(taskId: string, phase: string, key: string): Promise<void> {
    const result = await this._store.result(taskId, phase);
    const parts = result === undefined ? [] : await this._parts(taskId, result);
    if (this._key === key && result !== undefined) {
      this._show(parts);
    } else {
      release(parts);
    }
  }

  private async _parts(taskId: string, result: PhaseResult): Promise<HTMLElement[]> {
    const { client } = this._store;
    const shown = isPictured(result) ? [] : await this._value(client, result.output);
    const folder = `${pathOf(taskId)}/artifacts/${encodeURIComponent(result.phase)}/${result.attempt}`;
    const artifacts = await Promise.all(
      result.artifacts.map(artifact => {
        const path = `${folder}/${encodeURIComponent(artifact.name)}`;
        return artifact.codec === 'png'
          ? figure(client, path, artifact.name, this._trans)
          : Promise.resolve(download(client, path, artifact, this._trans));
      })
    );
    return [...shown, ...artifacts];
  }

  private async _value(client: Asked, value: Json): Promise<HTMLElement[]> {
    if (value === null) {
      return [];
    }
    if (isReference(value)) {
      const shape = Array.isArray(value.shape) ? ` ${value.shape.join(' × ')}` : '';
      const caption = `${value.type}${shape}`;
      if (value.codec === 'png') {
        const hash = String(value.$object).replace('sha256:', '');
        return [await figure(client, `objects/${encodeURIComponent(hash)}`, caption, this._trans)];
      }
      if (isHead(value.head)) {
        return [grid(value.head, this._trans), h('p', { class: 'phasenb-sub' }, caption)];
      }
      const drawn = this._pre(String(value.preview ?? ''));
      drawn.classList.toggle('phasenb-columns', Array.isArray(value.shape)); // broken lines would not stand in columns
      return [drawn, h('p', { class: 'phasenb-sub' }, caption)];
    }
    if (typeof value === 'string') {
      return [this._pre(value)];
    }
    const rows = rowsOf(value);
    return rows === null ? [this._pre(JSON.stringify(value, null, 2))] : [table(rows, this._trans)];
  }

  private _pre(text: string): HTMLElement {
    return h('pre', { 'aria-label': this._trans.__('result'), tabindex: 0, dir: 'auto' }, printable(text)); // all of it: it scrolls
  }

  private _show(parts: HTMLElement[]): void {
    release([...this.node.children]);
    const heading = h('p', { class: 'phasenb-well', 'aria-hidden': 'true' }, this._trans.__('Result'));
    this.node.replaceChildren(...(parts.length === 0 ? [] : [heading, ...parts]));
  }

  private _key = '';
}

/** A figure is stored pickled, and its picture beside it. */
function isPictured({ output, artifacts }: PhaseResult): boolean {
  const pickled = isReference(output) && output.codec === 'pickle';
  return pickled && artifacts.some(({ name, codec }) => name === PICTURE && codec === 'png');
}

type Row = { [name: string]: Json };

/** A list of flat objects is a table. */
function rowsOf(value: Json): Row[] | null {
  const isRow = (each: Json): each is Row =>
    each !== null &&
    typeof each === 'object' &&
    !Array.isArray(each) &&
    Object.values(each).every(cell => cell === null || typeof cell !== 'object');
  return Array.isArray(value) && value.length > 0 && value.every(isRow) ? value : null;
}

/** The first rows of a frame. */
function isHead(value: Json | undefined): value is Head & Json {
  return value !== null && typeof value === 'object' && 'columns' in value && 'rows' in value;
}

const NUMBER = /^(-?\d[\d.]*(e[+-]?\d+)?|-?inf|nan|NaN|)$/;

function grid({ columns, rows }: Head, trans: TranslationBundle): HTMLElement {
  const numbers = columns.map((_, column) => rows.every(row => NUMBER.test(row[column] ?? '')));
  const cell = (text: string, column: number) =>
    column === 0
      ? h('th', { scope: 'row' }, plain(text))
      : h('td', { class: numbers[column] ? 'phasenb-number' : '' }, plain(text));
  return framed(
    columns,
    rows.map(row => row.map(cell)),
    null,
    trans
  );
}

function table(rows: Row[], trans: TranslationBundle): HTMLElement {
  const all = [...new Set(rows.flatMap(row => Object.keys(row)))];
  const columns = all.slice(0, COLUMNS);
  const cell = (value: Json | undefined) =>
    h(
      'td',
      { class: typeof value === 'number' ? 'phasenb-number' : '' },
      plain(value === undefined ? '' : String(value))
    );
  const left = rows.length > ROWS || all.length > COLUMNS;
  const caption = left ? trans.__('%1 rows, %2 columns', rows.length, all.length) : null;
  const cells = rows.slice(0, ROWS).map(row => columns.map(name => cell(row[name])));
  return framed(columns, cells, caption, trans);
}

/** A table that scrolls by itself; a column of numbers has its name above them. */
function framed(
  columns: string[],
  rows: HTMLElement[][],
  caption: string | null,
  trans: TranslationBundle
): HTMLElement {
  const isNumber = (cells: HTMLElement[], column: number) => cells[column]?.className === 'phasenb-number';
  const heads = columns.map((name, column) => {
    const numbers = rows.length > 0 && rows.every(cells => isNumber(cells, column));
    return h('th', { scope: 'col', class: numbers ? 'phasenb-number' : '' }, plain(name));
  });
  return h(
    'div',
    { class: 'phasenb-table', tabindex: 0, role: 'region', 'aria-label': trans.__('result') },
    h(
      'table',
      {},
      caption === null ? null : h('caption', {}, caption),
      h('thead', {}, h('tr', {}, ...heads)),
      h('tbody', {}, ...rows.map(cells => h('tr', {}, ...cells)))
    )
  );
}

/** An image; a sentence where it can't be had, so that the others are shown. */
async function figure(client: Asked, path: string, name: string, trans: TranslationBundle): Promise<HTMLElement> {
  let url: string;
  try {
    url = await bytesAt(client, path, 'image/png');
  } catch (error) {
    if (!(error instanceof Error)) {
      throw error;
    }
    return h('p', { class: 'phasenb-sub' }, trans.__('%1 can not be shown: %2', name, error.message));
  }
  const caption = name === PICTURE ? null : h('figcaption', { class: 'phasenb-sub' }, name);
  return h('figure', { class: 'phasenb-figure' }, h('img', { src: url, alt: name }), caption);
}

function download(client: Asked, path: string, artifact: Artifact, trans: TranslationBundle): HTMLElement {
  const save = async () => {
    const url = await bytesAt(client, path, 'application/octet-stream');
    h('a', { href: url, download: artifact.name }).click();
    URL.revokeObjectURL(url);
  };
  const click = () => void save().catch(error => console.warn('phasenb: no artifact:', error));
  const size = trans.__('%1 bytes', artifact.bytes.toLocaleString());
  const button = h('button', { type: 'button', class: 'phasenb-button', click }, artifact.name);
  return h(
    'p',
    { class: 'phasenb-artifact' },
    button,
    h('span', { class: 'phasenb-sub' }, ` ${artifact.type} · ${size}`)
  );
}

/** A URL of this page for what is at `path`. A page of that URL would be of this origin: `type` is never the sender's. */
async function bytesAt(client: Asked, path: string, type: string): Promise<string> {
  const response = await client.get(path);
  return URL.createObjectURL(new Blob([await response.arrayBuffer()], { type }));
}

function release(parts: Iterable<Element>): void {
  for (const part of parts) {
    for (const image of part.querySelectorAll('img')) {
      URL.revokeObjectURL(image.src);
    }
  }
}
