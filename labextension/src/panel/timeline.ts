// When a task's attempts ran: a lane for each phase, a bar for each attempt, in percent of the width.
//
// Rule: to a screen reader it is one image that is told in words; on the page only what differs is touched.

import type { TranslationBundle } from '@jupyterlab/translation';
import { h, setAttribute, setHidden, setStyle, setText } from '../dom';
import type { PhaseResult, PhaseStatus, ResultStatus, TaskState } from '../protocol';
import { running } from '../reducer';
import * as words from '../words';

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

interface Span {
  start: number;
  length: number;
  now: number;
}

export class Timeline {
  readonly node: HTMLElement;

  constructor(private _trans: TranslationBundle) {
    this._began = h('span', {});
    this._took = h('span', {});
    this._foot = h('div', { class: 'phasenb-timeline-foot' }, this._began, this._took);
    const about = { role: 'img', 'aria-label': _trans.__('Timeline of the phases') };
    this.node = h('div', { class: 'phasenb-timeline', ...about, hidden: true }, this._foot);
  }

  /** Draw it as it is at `now`. It is hidden where no attempt has begun. */
  update(task: TaskState, results: readonly PhaseResult[], now: number): void {
    const all = bars(task, results);
    setHidden(this.node, all.length === 0);
    if (all.length === 0) {
      return;
    }
    const start = Math.min(...all.map(bar => bar.start));
    const goesOn = !words.isTerminal(task.state); // what it waits for is time as well
    const length = Math.max(1, ...all.map(bar => (bar.end ?? now) - start), goesOn ? now - start : 0);
    setAttribute(this.node, 'aria-description', all.map(bar => this._told(bar, now)).join('; '));
    task.phases.forEach(({ name }, index) => {
      const own = all.filter(bar => bar.phase === name);
      this._lane(index).update(name, own, { start, length, now });
    });
    setText(this._began, words.when(new Date(start), new Date(now)));
    setAttribute(this._began, 'title', words.dateAndClock(new Date(start)));
    setText(
      this._took,
      tookWord(
        length,
        all.some(bar => bar.end === null)
      )
    );
  }

  private _lane(index: number): Lane {
    let lane = this._lanes[index];
    if (lane === undefined) {
      lane = new Lane(this._trans, (bar, now) => this._told(bar, now));
      this._lanes.push(lane);
      this._foot.before(lane.node);
    }
    return lane;
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
    const took = tookWord((bar.end ?? now) - bar.start, bar.end === null);
    return this._trans.__('%1, attempt %2: %3, %4', what, bar.attempt, statuses[bar.status] ?? bar.status, took);
  }

  private _lanes: Lane[] = []; // a task's phases stay as they were at its launch
  private _foot: HTMLElement;
  private _began: HTMLElement;
  private _took: HTMLElement;
}

class Lane {
  readonly node: HTMLElement;

  constructor(
    private _trans: TranslationBundle,
    private _told: (bar: Bar, now: number) => string
  ) {
    this._name = h('span', { class: 'phasenb-timeline-name' });
    this._took = h('span', { class: 'phasenb-timeline-took' });
    this._track = h('div', { class: 'phasenb-timeline-track' });
    this.node = h('div', {}, h('div', { class: 'phasenb-timeline-label' }, this._name, this._took), this._track);
  }

  update(name: string, own: Bar[], span: Span): void {
    setText(this._name, name);
    setAttribute(this._name, 'title', name);
    setText(this._took, own.length === 0 ? '' : this._sum(own, span.now));
    while (this._track.childElementCount > own.length) {
      this._track.lastElementChild?.remove();
    }
    own.forEach((bar, index) => {
      this._place(this._bar(index), bar, span);
    });
  }

  private _sum(own: Bar[], now: number): string {
    const sum = own.reduce((sum, bar) => sum + ((bar.end ?? now) - bar.start), 0);
    const took = tookWord(
      sum,
      own.some(bar => bar.end === null)
    );
    return own.length > 1 ? `${this._trans._n('%1 attempt', '%1 attempts', own.length)} · ${took}` : took;
  }

  private _bar(index: number): HTMLElement {
    const there = this._track.children[index];
    return (there as HTMLElement | undefined) ?? this._track.appendChild(h('div', { class: 'phasenb-timeline-bar' }));
  }

  private _place(node: HTMLElement, bar: Bar, { start, length, now }: Span): void {
    const width = Math.max(LEAST, (100 * ((bar.end ?? now) - bar.start)) / length);
    const left = Math.min(100 - LEAST, (100 * (bar.start - start)) / length);
    setStyle(node, 'left', `${rounded(left)}%`);
    setStyle(node, 'width', `${rounded(width)}%`);
    setAttribute(node, 'data-tone', TONES[bar.status] ?? 'idle');
    setAttribute(node, 'title', this._told(bar, now));
  }

  private _name: HTMLElement;
  private _took: HTMLElement;
  private _track: HTMLElement;
}

/** Milliseconds as words; in whole seconds while they go on. */
function tookWord(ms: number, goesOn: boolean): string {
  return goesOn ? words.seconds(ms / 1000) : words.duration(ms / 1000);
}

/** As the page gives it back. */
function rounded(value: number): number {
  return Math.round(100 * value) / 100;
}
