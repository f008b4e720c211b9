import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { nullTranslator } from '@jupyterlab/translation';
import type { TaskFailure, TaskState } from '../src/protocol';
import * as words from '../src/words';
import { snapshot } from './server';

type Said<A, B> = [A, B][];
interface SaidOfTask {
  state: string;
  activity: string | null;
  trouble: TaskFailure | null;
  tried: (string | null)[];
  elapsed: string | null;
}
const SAID: {
  percent: Said<number, string>;
  duration: Said<number, string>;
  progress: Said<TaskState, [string, string]>;
  elapsed: Said<number, string>;
  plain: Said<string, string>;
  inputs: Said<TaskState, string[]>;
  own_line: Said<string, words.OwnLine | null>;
  as_of: [TaskState, [number, number, number, number, number, number], string][];
  task: [TaskState, string, SaidOfTask][];
} = JSON.parse(readFileSync(join(__dirname, 'vectors', 'words.json'), 'utf-8'));
const START = '2026-01-01T00:00:00.000000Z';
const trans = nullTranslator.load('phasenb');

describe('the words are those of Python', () => {
  it.each(SAID.percent)('percent %p', (value, text) => expect(words.percent(value)).toBe(text));
  it.each(SAID.duration)('duration %p', (value, text) => expect(words.duration(value)).toBe(text));
  it.each(SAID.progress)('progress %#', (task, said) => {
    const [phase] = task.phases;
    expect(phase && [words.share(task, trans), words.progress(task, phase, trans)]).toEqual(said);
  });
  it.each(SAID.elapsed)('elapsed %p', (value, text) =>
    expect(words.elapsed(START, null, new Date(Date.parse(START) + value * 1000))).toBe(text)
  );
  it.each(SAID.plain)('plain %j', (value, text) => expect(words.plain(value)).toBe(text));
  it.each(SAID.inputs)('inputs %#', (task, said) => expect(words.inputs(task)).toEqual(said));
  it.each(SAID.own_line)('own line of %j', (value, line) => expect(words.ownLine(value, trans)).toEqual(line));
  it.each(SAID.task.map(([task, now, said]) => [`${task.state} ${said.activity}`, task, new Date(now), said] as const))(
    'task %s',
    (_, task, now, said) =>
      expect({
        state: words.stateWord(task.state, trans),
        activity: words.activity(task, now, trans),
        trouble: words.trouble(task),
        tried: task.phases.map(phase => words.tried(task, phase, trans)),
        elapsed: words.elapsed(task.started_at, task.ended_at, now)
      }).toEqual(said)
  );
});

describe('what a copy says', () => {
  it.each(SAID.as_of)('is what Python says, the day with it: %#', (task, [year, month, ...rest], text) =>
    expect(words.asOf(task, new Date(year, month - 1, ...rest), trans)).toBe(text)
  );

  it('is when it ended, of one that has', () => {
    const ended_at = new Date(2026, 0, 1, 14, 3, 12).toISOString();
    expect(words.asOf(snapshot({ state: 'failed', ended_at }), new Date(), trans)).toBe('failed 2026-01-01 14:03:12');
  });
});
