// The phases of a task as steps: a mark, a name, a bar, what was tried.

import type { TranslationBundle } from '@jupyterlab/translation';
import { h, setAttribute, setOptional, setOptionalAttribute, setShare, setText } from './dom';
import type { Phase, PhaseStatus, State, TaskState } from './protocol';
import * as words from './words';

const MARKS: Record<PhaseStatus, [mark: string, tone: string]> = {
  pending: ['○', 'idle'],
  running: ['●', 'go'],
  retrying: ['↻', 'warn'],
  complete: ['✓', 'good'],
  failed: ['✕', 'bad'],
  rolled_back: ['↶', 'warn']
};

class Step {
  readonly node: HTMLLIElement;

  constructor(
    phase: Phase,
    private _trans: TranslationBundle
  ) {
    this._mark = h('span', { class: 'phasenb-mark', 'aria-hidden': 'true' });
    this._word = h('span', { class: 'phasenb-hidden' });
    this._took = h('span', { class: 'phasenb-took' });
    this._fill = h('div', { class: 'phasenb-fill' });
    const range = { 'aria-valuemin': 0, 'aria-valuemax': 100, 'aria-label': phase.name };
    this._bar = h('div', { class: 'phasenb-bar', role: 'progressbar', ...range }, this._fill);
    this._tried = h('div', { class: 'phasenb-sub', hidden: true });
    const name = h('span', { class: 'phasenb-phase', dir: 'auto', title: phase.name }, phase.name);
    const label = h('div', { class: 'phasenb-label' }, this._mark, name, this._word, this._took);
    this.node = h('li', { class: 'phasenb-step' }, label, this._bar, this._tried);
  }

  update(phase: Phase, task: TaskState, now: Date): void {
    const { state } = task;
    const counts = words.counts(task, phase);
    const stopped = phase.status === 'failed' && state === 'cancelled';
    const [mark, tone] = stopped ? ['–', 'idle'] : MARKS[phase.status];
    const word = stopped ? this._trans.__('cancelled') : words.statusWord(phase.status, this._trans);
    setAttribute(this.node, 'data-tone', tone);
    setAttribute(this.node, 'data-status', phase.status);
    setText(this._mark, mark);
    setText(this._word, `, ${word}`);
    setText(this._took, this._time(phase, task, now) ?? '');
    setOptionalAttribute(this._bar, 'data-counts', counts ? '' : null);
    // A progress bar without a value is an indeterminate one.
    setOptionalAttribute(this._bar, 'aria-valuenow', counts ? null : String(Math.trunc(phase.percent)));
    setShare(this._fill, counts ? 100 : phase.percent);
    setOptional(this._tried, words.tried(task, phase, this._trans));
  }

  private _time(phase: Phase, task: TaskState, now: Date): string | null {
    if (phase.status === 'running') {
      return words.progress(task, phase, this._trans);
    }
    return phase.ended_at === null ? null : words.elapsed(phase.started_at, phase.ended_at, now);
  }

  private _mark: HTMLElement;
  private _word: HTMLElement;
  private _took: HTMLElement;
  private _bar: HTMLElement;
  private _fill: HTMLElement;
  private _tried: HTMLElement;
}

export class Steps {
  readonly node: HTMLOListElement = h('ol', { class: 'phasenb-steps', role: 'list' });

  constructor(private _trans: TranslationBundle) {}

  update(task: TaskState, now: Date): void {
    const counted = task.done !== this._done || task.total !== this._total;
    if (task.phases === this._phases && task.state === this._state && !counted) {
      return;
    }
    const names = task.phases.map(phase => phase.name).join('\n');
    if (names !== this._names) {
      this._names = names;
      this._steps = task.phases.map(phase => new Step(phase, this._trans));
      this.node.replaceChildren(...this._steps.map(step => step.node));
    }
    task.phases.forEach((phase, index) => {
      if (phase !== this._phases[index] || task.state !== this._state || (counted && phase.status === 'running')) {
        this._steps[index]?.update(phase, task, now);
      }
    });
    this._phases = task.phases;
    this._state = task.state;
    this._done = task.done;
    this._total = task.total;
  }

  private _done: number | null = null;
  private _total: number | null = null;
  private _names: string | null = null;
  private _steps: Step[] = [];
  private _phases: Phase[] = [];
  private _state: State | null = null;
}
