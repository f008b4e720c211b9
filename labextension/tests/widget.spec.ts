import { EventEmitter } from 'node:events';
import type { Phase, TaskState } from '../src/protocol';
import widget, { type Answer, BUSY_MS, SILENCE_MS } from '../src/widget';
import { document, type } from './page';
import { snapshot, TASK_ID } from './server';

/** The page's side of an anywidget, as anywidget gives it: traits, their changes, custom messages. */
class FakeModel {
  readonly sent: { id: number; request: { type: string }; given: { [field: string]: string } }[] = [];
  readonly events = new EventEmitter();
  traits = { told: '', at: new Date().toISOString() };

  get = (trait: 'told' | 'at') => this.traits[trait];
  on = (event: string, callback: (content: Answer) => void) => void this.events.on(event, callback);
  off = (event: string, callback: (content: Answer) => void) => void this.events.off(event, callback);
  send = (content: object) => void this.sent.push(content as never);

  say(task: TaskState, lines: string[] = [], notes: string[] = []): void {
    const tail = lines.map(text => ({ text, stream: 'stdout', at: task.updated_at }));
    this.write(JSON.stringify({ snapshot: task, tail, notes }));
  }

  write(told: string): void {
    this.traits.told = told;
    this.events.emit('change:told');
  }

  beat(): void {
    this.events.emit('change:at');
  }
}

describe('the widget of a page without the extension', () => {
  let model: FakeModel;
  let el: HTMLElement;
  let close: () => void;

  const open = (task = snapshot(), at = new Date()) => {
    model.say(task, ['one', 'two'], ['runs in this kernel and stops with it']);
    model.traits.at = at.toISOString();
    close = widget.render({ model, el });
  };
  const text = (selector: string) => el.querySelector(selector)?.textContent ?? null;
  const visible = (element: HTMLElement) => element.closest('[hidden]') === null;
  const buttons = () => [...el.querySelectorAll<HTMLButtonElement>('button:not(.phasenb-id)')].filter(visible);
  const labels = () => buttons().map(button => button.textContent);
  const press = (label: string) =>
    buttons()
      .find(button => button.textContent === label)
      ?.click();
  const asked = () => model.sent.filter(message => message.request !== undefined);
  const sentence = () => {
    const line = el.querySelector<HTMLElement>('.phasenb-connection');
    return line?.hidden === false ? line.textContent : null;
  };
  const frame = async () => {
    for (let turn = 0; turn < 5; turn++) {
      await null;
    }
  };

  beforeEach(() => {
    // A frame comes at once: jsdom's need the clock that some tests move.
    globalThis.requestAnimationFrame = paint => queueMicrotask(() => paint(0)) as never;
    model = new FakeModel();
    el = document.body.appendChild(document.createElement('div'));
  });

  afterEach(() => {
    close();
    jest.useRealTimers();
    el.remove();
  });

  it('shows what the kernel tells, and says that it does', async () => {
    open();
    expect(model.sent).toEqual([{ drawn: true }]);
    expect(text('.phasenb-name')).toBe('penguins');
    expect(text('.phasenb-state')).toBe('running');
    expect(text('.phasenb-log pre')).toBe('one\ntwo');
    expect(text('.phasenb-foot')).toBe(`${TASK_ID.slice(-8)}runs in this kernel and stops with it`);
    expect(labels()).toEqual(['Pause', 'Cancel']);
    model.say(snapshot({ message: 'fold 3 of 5' }), ['two', 'three'], []);
    await frame();
    expect(text('.phasenb-says')).toBe('fold 3 of 5');
    expect(text('.phasenb-log pre')).toBe('two\nthree');
    expect(text('.phasenb-foot')).toBe(TASK_ID.slice(-8));
  });

  it('paints nothing when it only hears that the kernel is there', async () => {
    open();
    await frame();
    const changes: MutationRecord[] = [];
    const { MutationObserver } = document.defaultView as unknown as typeof globalThis;
    const observer = new MutationObserver(records => changes.push(...records));
    observer.observe(el, { subtree: true, childList: true, attributes: true, characterData: true });
    model.beat();
    await frame();
    expect(observer.takeRecords().concat(changes)).toEqual([]);
    observer.disconnect();
  });

  it.each([
    ['Pause', {}, { type: 'pause', task_id: TASK_ID }],
    ['Cancel', {}, { type: 'cancel', task_id: TASK_ID }],
    ['Resume', { state: 'paused', actions: ['cancel', 'resume'] }, { type: 'resume', task_id: TASK_ID }],
    ['Retry', { state: 'failed', actions: ['retry'], seq: 9 }, { type: 'retry', task_id: TASK_ID, if_seq: 9 }]
  ] as const)('sends what %s asks for, and rests until it is answered', async (label, change, request) => {
    open(snapshot(change as Partial<TaskState>));
    press(label);
    expect(asked()).toEqual([{ id: 1, request, given: {} }]);
    expect(buttons().every(button => button.disabled)).toBe(true);
    model.events.emit('msg:custom', { id: 1, error: null });
    await frame();
    expect(buttons().every(button => !button.disabled)).toBe(true);
  });

  it('says why it was not done', async () => {
    open();
    press('Cancel');
    model.events.emit('msg:custom', { id: 1, error: { code: 'conflict', message: 'no', details: {} } });
    await frame();
    expect(text('.phasenb-refusal:not([hidden])')).toMatch(/moved on meanwhile/);
  });

  it('says when the kernel is busy, until it has answered', async () => {
    jest.useFakeTimers({ doNotFake: ['queueMicrotask', 'requestAnimationFrame'] });
    open();
    press('Cancel');
    jest.advanceTimersByTime(BUSY_MS);
    await frame();
    expect(sentence()).toMatch(/No answer yet/);
    model.events.emit('msg:custom', { id: 1, error: null });
    await frame();
    expect(sentence()).toBeNull();
  });

  it('does not show as going on what is not told of any more', async () => {
    jest.useFakeTimers({ doNotFake: ['queueMicrotask', 'requestAnimationFrame'] });
    open();
    jest.advanceTimersByTime(SILENCE_MS - 1);
    model.beat();
    jest.advanceTimersByTime(SILENCE_MS - 1);
    await frame();
    expect(text('.phasenb-state')).toBe('running');
    jest.advanceTimersByTime(1);
    await frame();
    expect(sentence()).toMatch(/does not tell of this task any more/);
    expect(text('.phasenb-state')).toMatch(/^as of .*: running, 10 %$/);
    expect(buttons().every(button => button.disabled)).toBe(true);
    model.beat();
    await frame();
    expect(sentence()).toBeNull();
    expect(text('.phasenb-state')).toBe('running');
  });

  it('shows a saved page of its own time at once', () => {
    open(snapshot(), new Date(Date.now() - 60_000));
    expect(text('.phasenb-state')).toMatch(/^as of .*: running, 10 %$/);
    expect(sentence()).toMatch(/does not tell of this task any more/);
  });

  it('sends a plan as it was written, numbers that JavaScript has not included', () => {
    const phase = { ...(snapshot().phases[0] as Phase), status: 'complete' as const, percent: 100 };
    const approval = { phase: 'planning', revision: 1, seq: 4, output: 'PLAN' };
    const phases = [phase, { ...phase, name: 'planning', status: 'pending' as const }];
    const waits = snapshot({ state: 'awaiting_approval', approval, phases, seq: 4, actions: ['approve', 'deny'] });
    model.say(waits);
    model.write(model.traits.told.replace('"PLAN"', '{"folds":5.0,"seed":12345678901234567}'));
    close = widget.render({ model, el });
    press('Edit');
    const editor = el.querySelector<HTMLTextAreaElement>('.phasenb-editor');
    type(editor, (editor?.value ?? '').replace('5.0', '6.0'));
    press('Approve');
    const [{ request, given }] = asked() as [(typeof model.sent)[0]];
    expect(request).toEqual({ type: 'approve', task_id: TASK_ID, phase: 'planning', if_seq: 4 });
    expect(given.edit?.replace(/\s/g, '')).toBe('{"folds":6.0,"seed":12345678901234567}');
  });

  it('hears nothing any more when it was closed', () => {
    open();
    close();
    expect(model.events.eventNames()).toEqual([]);
    expect(el.childElementCount).toBe(0);
  });
});
