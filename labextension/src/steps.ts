// The phases of a task as steps: a mark, a name, a bar, what was tried.

import type { TranslationBundle } from '@jupyterlab/translation';
import { h, setAttribute, setOptional, setShare, setText } from './dom';
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
    const name = h('span', { class: 'phasenb-phase', title: phase.name }, phase.name);
    const label = h('div', { class: 'phasenb-label' }, this._mark, name, this._word, this._took);
    this.node = h('li', { class: 'phasenb-step' }, label, this._bar, this._tried);
  }

  update(phase: Phase, state: State, now: Date): void {
    const stopped = phase.status === 'failed' && state === 'cancelled';
    const [mark, tone] = stopped ? ['–', 'idle'] : MARKS[phase.status];
    const word = stopped ? this._trans.__('cancelled') : words.statusWord(phase.status, this._trans);
    setAttribute(this.node, 'data-tone', tone);
    setAttribute(this.node, 'data-status', phase.status);
    setText(this._mark, mark);
    setText(this._word, `, ${word}`);
    setText(this._took, this._time(phase, now) ?? '');
    setAttribute(this._bar, 'aria-valuenow', String(Math.trunc(phase.percent)));
    setShare(this._fill, phase.percent);
    // While it waits to be tried again, the line below says which attempt comes, and when.
    const number = state === 'retrying' && phase.status === 'retrying' ? null : words.attempt(phase, this._trans);
    const tried = [number, words.instead(phase, this._trans)].filter(each => each !== null);
    setOptional(this._tried, tried.join(' · ') || null);
  }

  private _time(phase: Phase, now: Date): string | null {
    if (phase.status === 'running') {
      return words.percent(phase.percent);
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
    if (task.phases === this._phases && task.state === this._state) {
      return;
    }
    const names = task.phases.map(phase => phase.name).join('\n');
    if (names !== this._names) {
      this._names = names;
      this._steps = task.phases.map(phase => new Step(phase, this._trans));
      this.node.replaceChildren(...this._steps.map(step => step.node));
    }
    task.phases.forEach((phase, index) => {
      if (phase !== this._phases[index] || task.state !== this._state) {
        this._steps[index]?.update(phase, task.state, now);
      }
    });
    this._phases = task.phases;
    this._state = task.state;
  }

  private _names: string | null = null;
  private _steps: Step[] = [];
  private _phases: Phase[] = [];
  private _state: State | null = null;
}
