// One task, as the server's messages tell it; whoever shows it listens to its model.
//
// Rules: an event counts once, in the order of seq; a line of output counts once, by its number, in its place; `changed`
// is said only when something is different, so that nothing is painted in vain.

import { type ISignal, Signal } from '@lumino/signaling';
import type { Told } from './client';
import type { ServerError } from './errors';
import { noteGate } from './exact';
import type { LogLine, PhaseLog, TaskEvent, TaskState } from './protocol';
import { apply, withUpdate } from './reducer';

export const TAIL_LINES = 200;
/** No store has it: a subscription that names it is answered with a snapshot. */
export const NO_EPOCH = '';

/** A line of an attempt's output; `line` counts in the attempt, from 1. */
export interface TailLine extends LogLine {
  phase: string;
  attempt: number;
  line: number;
}

/** The newest answer to one of a task's gates. */
export interface Decision {
  by: string;
  phase: string;
  approved: boolean;
}

/** One task. `state` is null until the first event or snapshot came.
 *
 * `live`: the server tells of it now; otherwise `state` is how it was at `asOf`, when that is known. `told`: the server has
 * told of it at all; otherwise only a notebook has, which may come from anybody.
 * `problem`: why nothing more will be heard of it. `dropped`: lines of output that nobody kept; `skipped`: that this page
 * was not sent, and the store has.
 * `notes`: what the launch has to say beside the state. `decision`: null where none was heard of since the last snapshot.
 */
export class TaskModel {
  state: TaskState | null = null;
  live = false;
  told = false;
  asOf: Date | null = null;
  problem: ServerError | null = null;
  tail: readonly TailLine[] = [];
  dropped = 0;
  skipped = 0;
  notes: readonly string[] = [];
  decision: Decision | null = null;

  /** @internal */ epoch = NO_EPOCH;
  /** @internal */ following = 0;
  /** @internal */ asking = false;

  constructor(
    readonly taskId: string,
    private _touched: (model: TaskModel) => void
  ) {}

  /** At most once a frame, and only when something is different. */
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  get seq(): number {
    return this.state?.seq ?? 0;
  }

  /** Fold an event. False where it can't follow: events are missing, or it is newer than this page. */
  take(event: TaskEvent): boolean {
    if (event.seq <= this.seq) {
      return true;
    }
    try {
      const state = apply(this.state, event);
      if (event.type === 'approval_requested' && state.approval !== null) {
        noteGate(state.approval, event);
      }
      if (event.type === 'approval_given' || event.type === 'approval_denied') {
        this.decision = { by: event.by, phase: event.phase, approved: event.type === 'approval_given' };
      }
      this._become(state);
      return true;
    } catch {
      return false;
    }
  }

  /** The notebook that launched it is there now. */
  setNotebook(notebook: string | null): void {
    if (this.state !== null && this.state.notebook !== notebook) {
      this._become({ ...this.state, notebook });
    }
  }

  /** The place in the queue, as a snapshot tells it; ignored where this model knows more, or less, of the task. */
  setQueue({ seq, queue }: TaskState): void {
    const known = this.state;
    const same = known?.queue?.position === queue?.position && known?.queue?.reason === queue?.reason;
    if (known !== null && known.seq === seq && !same) {
      this._become({ ...known, queue });
    }
  }

  /** Start again from a snapshot. */
  reset(state: TaskState): void {
    this.decision = null;
    this._become(state);
  }

  progress(update: Extract<Told, { type: 'phase_update' }>): void {
    if (this.state !== null) {
      const state = withUpdate(this.state, update);
      if (state !== this.state) {
        this._become(state);
      }
    }
  }

  log(log: PhaseLog): void {
    const { phase, attempt, first_line } = log;
    this.dropped += log.dropped;
    this.skipped += log.skipped ?? 0; // a server of an older release says nothing of it
    this.merge(log.lines.map((line, index) => ({ ...line, phase, attempt, line: first_line + index })));
  }

  /** Take lines in where they belong, whatever came first; those that are there already are not added again. */
  merge(lines: readonly TailLine[]): void {
    const there = new Set(this.tail.map(nameOf));
    const fresh = lines.filter(line => !there.has(nameOf(line)));
    if (fresh.length > 0) {
      this.tail = inOrder([...this.tail, ...fresh]).slice(-TAIL_LINES);
      this.touch();
    }
  }

  forgetLines(): void {
    this.tail = [];
    this.dropped = this.skipped = 0;
  }

  fail(problem: ServerError): void {
    this.problem = problem;
    this.told &&= problem.code !== 'unknown_task';
    this.touch();
  }

  setLive(live: boolean): void {
    if (live !== this.live || (live && this.problem !== null)) {
      this.live = live;
      this.told ||= live;
      this.problem = live ? null : this.problem;
      this.touch();
    }
  }

  /** Have `changed` emitted in the next frame. */
  touch(): void {
    this._touched(this);
  }

  /** @internal */
  tell(): void {
    this._changed.emit();
  }

  private _become(state: TaskState): void {
    this.state = state;
    this.touch();
  }

  private _changed = new Signal<this, void>(this);
}

function attemptOf(line: TailLine): string {
  return `${line.phase} ${line.attempt}`;
}

function nameOf(line: TailLine): string {
  return `${attemptOf(line)} ${line.line}`;
}

/** Attempts follow one another by the time of their first line, lines within an attempt by their number. */
function inOrder(lines: TailLine[]): TailLine[] {
  const began = new Map<string, string>();
  for (const line of lines) {
    const earliest = began.get(attemptOf(line));
    if (earliest === undefined || line.at < earliest) {
      began.set(attemptOf(line), line.at);
    }
  }
  const attempts = [...began].sort(([, at], [, other]) => (at < other ? -1 : Number(at > other)));
  const places = new Map(attempts.map(([attempt], place) => [attempt, place]));
  const place = (line: TailLine) => places.get(attemptOf(line)) ?? 0;
  return lines.sort((line, other) => place(line) - place(other) || line.line - other.line);
}
