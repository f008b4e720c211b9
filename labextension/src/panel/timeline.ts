// When a task's attempts ran: a lane for each phase, a bar for each attempt, as SVG in percent of the width.

import type { TranslationBundle } from '@jupyterlab/translation';
import type { PhaseResult, PhaseStatus, ResultStatus, TaskState } from '../protocol';
import { running } from '../reducer';
import * as words from '../words';

const SVG = 'http://www.w3.org/2000/svg';
const LANE = 34;
const TOP = 16; // a lane's label stands above its bar
const BAR = 10;
const LEAST = 0.6; // percent of the width: a bar that is there is seen

/** An attempt; `start` and `end` in milliseconds. `end` null: it runs. */
export interface Bar {
  phase: string;
  attempt: number;
  kind: PhaseResult['kind'];
  status: ResultStatus | PhaseStatus;
  start: number;
  end: number | null;
}

const TONES: Partial<Record<Bar['status'], string>> = {
  complete: 'good',
  failed: 'bad',
  lost: 'warn',
  running: 'go'
};

/** The attempts that ended, and the one that runs; a revision after an approval is no attempt of its own. */
export function bars(task: TaskState, results: readonly PhaseResult[]): Bar[] {
  const found = new Map<string, Bar>();
  for (const { phase, attempt, kind, status, started_at, ended_at } of results) {
    const bar = { phase, attempt, kind, status, start: Date.parse(started_at), end: Date.parse(ended_at) };
    const key = `${phase} ${attempt} ${kind}`;
    if (!found.has(key)) {
      found.set(key, bar);
    }
  }
  const now = running(task);
  if (now !== undefined && now.started_at !== null && !found.has(`${now.name} ${now.attempt} phase`)) {
    const about = { phase: now.name, attempt: now.attempt, kind: 'phase', status: 'running' } as const;
    found.set('running', { ...about, start: Date.parse(now.started_at), end: null });
  }
  return [...found.values()].sort((one, other) => one.start - other.start);
}

export class Timeline {
  readonly node: SVGSVGElement;

  constructor(private _trans: TranslationBundle) {
    const id = `phasenb-timeline-${++made}`;
    this._title = element('title', { id });
    this._about = element('desc', { id: `${id}-about` });
    const about = { 'aria-labelledby': id, 'aria-describedby': `${id}-about` };
    this.node = element('svg', { class: 'phasenb-timeline', role: 'img', width: '100%', ...about });
    this._title.textContent = _trans.__('Timeline of the phases');
  }

  /** Draw it as it is at `now`; nothing is touched where nothing differs. */
  update(task: TaskState, results: readonly PhaseResult[], now: number): void {
    const all = bars(task, results);
    const told = all.map(bar => this._told(bar, now)).join('; ');
    const grows = all.some(bar => bar.end === null);
    if (!grows && told === this._about.textContent) {
      return;
    }
    this._about.textContent = told;
    this._isEmpty = all.length === 0;
    if (this._isEmpty) {
      return;
    }
    const start = Math.min(...all.map(bar => bar.start));
    const length = Math.max(1, ...all.map(bar => (bar.end ?? now) - start));
    const lanes = task.phases.map(phase => phase.name);
    const height = lanes.length * LANE + 16;
    this.node.setAttribute('height', String(height));
    const parts: Element[] = [this._title, this._about];
    lanes.forEach((lane, index) => {
      const own = all.filter(bar => bar.phase === lane);
      parts.push(...this._lane(lane, own, index * LANE, { start, length, now }));
    });
    const foot = { y: height - 2, class: 'phasenb-timeline-foot' };
    parts.push(text(words.clock(new Date(start)), { ...foot, x: '0' }));
    parts.push(text(words.seconds(length / 1000), { ...foot, x: '100%', 'text-anchor': 'end' }));
    this.node.replaceChildren(...parts);
  }

  private _lane(
    name: string,
    own: Bar[],
    top: number,
    span: { start: number; length: number; now: number }
  ): Element[] {
    const { start, length, now } = span;
    const took = own.reduce((sum, bar) => sum + ((bar.end ?? now) - bar.start), 0);
    const ground = { x: '0', y: top + TOP, width: '100%', height: BAR, rx: 3, class: 'phasenb-timeline-lane' };
    const parts: Element[] = [text(name, { x: '0', y: top + TOP - 5 }), element('rect', ground)];
    if (own.length) {
      const right = { x: '100%', y: top + TOP - 5, 'text-anchor': 'end', class: 'phasenb-timeline-foot' };
      const tries = own.length > 1 ? `${this._trans._n('%1 attempt', '%1 attempts', own.length)} · ` : '';
      parts.push(text(tries + words.duration(took / 1000), right));
    }
    for (const bar of own) {
      const width = Math.max(LEAST, (100 * ((bar.end ?? now) - bar.start)) / length);
      const x = Math.min(100 - LEAST, (100 * (bar.start - start)) / length);
      const place = { x: `${x.toFixed(2)}%`, width: `${width.toFixed(2)}%`, y: top + TOP, height: BAR, rx: 3 };
      const rect = element('rect', {
        ...place,
        class: 'phasenb-timeline-bar',
        'data-tone': TONES[bar.status] ?? 'idle'
      });
      const title = element('title', {});
      title.textContent = this._told(bar, now);
      rect.append(title);
      parts.push(rect);
    }
    return parts;
  }

  private _told(bar: Bar, now: number): string {
    const statuses: Partial<Record<Bar['status'], string>> = {
      complete: this._trans.__('complete'),
      failed: this._trans.__('failed'),
      cancelled: this._trans.__('cancelled'),
      lost: this._trans.__('lost with its worker'),
      running: this._trans.__('running')
    };
    const what = bar.kind === 'compensation' ? this._trans.__('%1 undone', bar.phase) : bar.phase;
    const took = words.seconds(((bar.end ?? now) - bar.start) / 1000);
    return this._trans.__('%1, attempt %2: %3, %4', what, bar.attempt, statuses[bar.status] ?? bar.status, took);
  }

  /** Whether no attempt has begun. */
  get isEmpty(): boolean {
    return this._isEmpty;
  }

  private _isEmpty = true;
  private _title: Element;
  private _about: Element;
}

let made = 0;

function element<K extends keyof SVGElementTagNameMap>(
  tag: K,
  attributes: { [name: string]: string | number }
): SVGElementTagNameMap[K] {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) {
    made.setAttribute(name, String(value));
  }
  return made;
}

function text(content: string, attributes: { [name: string]: string | number }): SVGTextElement {
  const made = element('text', attributes);
  made.textContent = content;
  return made;
}
