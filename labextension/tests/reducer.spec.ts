import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { PhaseUpdate, TaskCreated, TaskEvent, TaskState } from '../src/protocol';
import { apply, IllegalTransition, withUpdate } from '../src/reducer';
import { TRANSITIONS } from '../src/transitions';

interface Vector {
  steps: [TaskEvent | PhaseUpdate, Partial<TaskState>][];
}

const VECTORS: Vector[] = JSON.parse(readFileSync(join(__dirname, 'vectors', 'reducer.json'), 'utf-8'));

function next(task: TaskState | null, message: TaskEvent | PhaseUpdate): TaskState {
  return message.type === 'phase_update' ? withUpdate(task as TaskState, message) : apply(task, message);
}

const CREATED: TaskCreated = {
  type: 'task_created',
  task_id: '01KC0000000000000000000000',
  session: 'test',
  seq: 1,
  at: '2026-01-01T00:00:00.000000Z',
  name: 'penguins',
  agent: 'workflow',
  phases: ['research', 'planning'],
  inputs: {},
  labels: {},
  key: null,
  notebook: null,
  secrets: [],
  parent: null,
  code: null
};
const BASE = { task_id: CREATED.task_id, session: 'test', at: '2026-01-01T00:00:01.000000Z' };

describe('the reducer', () => {
  it.each(VECTORS.map((vector, index) => [index, vector] as const))(
    'gives what Python gives, history %i',
    (_, { steps }) => {
      let task: TaskState | null = null;
      let expected = {};
      for (const [message, change] of steps) {
        expected = { ...expected, ...change };
        task = next(task, message);
        expect(task).toEqual(expected);
      }
    }
  );

  it('was tried on every cell of the table', () => {
    const seen = new Set<string>();
    for (const { steps } of VECTORS) {
      let state = '';
      for (const [message, change] of steps) {
        const now: string = change.state ?? state;
        if (message.type !== 'phase_update') {
          seen.add(`${state} ${message.type} ${now}`);
        }
        state = now;
      }
    }
    const cells = Object.entries(TRANSITIONS).flatMap(([state, row]) =>
      Object.entries(row).flatMap(([type, targets]) => targets.map(target => `${state} ${type} ${target}`))
    );
    expect([...seen].sort()).toEqual(cells.sort());
  });

  it('never changes the task that it is given', () => {
    const freeze = <T>(value: T): T => {
      if (value !== null && typeof value === 'object') {
        Object.values(value).forEach(freeze);
        Object.freeze(value);
      }
      return value;
    };
    for (const { steps } of VECTORS) {
      steps.reduce<TaskState | null>((task, [message]) => freeze(next(task, message)), null);
    }
  });

  it('refuses a gap, a repetition, another task and what the table does not know', () => {
    const task = apply(null, CREATED);
    const paused = { ...BASE, type: 'task_paused', by: 'ada' } as const;
    expect(apply(task, { ...paused, seq: 2 }).state).toBe('paused');
    for (const event of [
      { ...paused, seq: 1 },
      { ...paused, seq: 3 },
      { ...paused, seq: 2, task_id: '01KC0000000000000000000001' },
      { ...BASE, type: 'task_complete', seq: 2, duration_s: 1 } as const
    ]) {
      expect(() => apply(task, event)).toThrow(IllegalTransition);
    }
    expect(() => apply(null, { ...paused, seq: 1 })).toThrow(/not created/);
  });

  it('keeps the same object where live progress changes nothing', () => {
    const task = apply(apply(null, CREATED), {
      ...BASE,
      type: 'phase_started',
      seq: 2,
      phase: 'research',
      attempt: 1,
      kind: 'phase',
      worker: null
    });
    const update: PhaseUpdate = {
      type: 'phase_update',
      task_id: BASE.task_id,
      phase: 'research',
      attempt: 1,
      percent: 40,
      done: null,
      total: null,
      message: 'half',
      metrics: {},
      eta_s: null,
      bar: 0,
      line: null
    };
    const moved = withUpdate(task, update);
    expect([moved.percent, moved.phases[0]?.percent, moved.message]).toEqual([20, 40, 'half']);
    expect(withUpdate(moved, update)).toBe(moved);
    expect(withUpdate(moved, { ...update, percent: 10 })).toBe(moved);
    expect(withUpdate(moved, { ...update, attempt: 2, percent: 90 })).toBe(moved);
    expect(withUpdate(moved, { ...update, percent: 5, bar: 1 }).phases[0]?.percent).toBe(5);
    expect(withUpdate(moved, { ...update, message: 'more' }).phases).toBe(moved.phases);
  });
});
