import { exactText } from '../src/exact';
import type { Approval, TaskState } from '../src/protocol';
import { document, type } from './page';
import { snapshot, TASK_ID, until } from './server';
import { asked, buttons, open, openSaved, phase, press, server, shown, store, task, tell, text, view } from './viewed';

describe('the view of a task at a gate', () => {
  const approval: Approval = { phase: 'planning', revision: 1, seq: 2, output: { model: 'tree', folds: 5 } };
  const gate: Partial<TaskState> = {
    ...{ state: 'awaiting_approval', approval, actions: ['cancel', 'pause', 'approve', 'deny'] },
    phases: [phase({ status: 'complete', percent: 100 }), phase({ name: 'planning', status: 'pending', attempt: 0 })]
  };
  const editor = () => view.node.querySelector<HTMLTextAreaElement>('.phasenb-gate > textarea');

  /** Asked, and answered: what was written is no draft any more. */
  const answered = (kind: 'approve' | 'deny') =>
    until(() => asked(kind).length === 1 && view.node.querySelector('.phasenb-gate [data-sends]:disabled') === null);

  it('shows the plan and approves it as it is', async () => {
    await open(gate);
    expect(text('.phasenb-gate pre')).toBe('{\n  "model": "tree",\n  "folds": 5\n}');
    expect(buttons()).toEqual(['Approve', 'Edit', 'Deny…', 'Pause', 'Cancel']);
    expect(text('.phasenb-gate label')).toBe('planning goes on with this once you approve:');
    expect([text('.phasenb-state'), shown('.phasenb-says')]).toEqual(['waiting for approval', false]); // said once
    press('Approve');
    await answered('approve');
    expect(asked('approve')[0]).toEqual({ id: '3', type: 'approve', task_id: TASK_ID, phase: 'planning', if_seq: 2 });
  });

  it('shows the inputs before the first phase, and offers no edit that could not be taken', async () => {
    const first = { ...approval, phase: 'research', output: null };
    const phases = [phase({ status: 'pending', attempt: 0 })];
    await open({ ...gate, approval: first, phases, inputs: { path: 'x.csv', alpha: 0.1 } });
    expect(text('.phasenb-gate label')).toBe('research starts with these inputs once you approve:');
    expect(text('.phasenb-gate pre')).toBe('path=x.csv\nalpha=0.1');
    expect(buttons()).toEqual(['Approve', 'Deny…', 'Pause', 'Cancel']);
    press('Approve');
    await answered('approve');
    expect(asked('approve')[0]).toEqual({ id: '3', type: 'approve', task_id: TASK_ID, phase: 'research', if_seq: 2 });
  });

  it('says before a first phase without inputs only what starts', async () => {
    const phases = [phase({ status: 'pending', attempt: 0 })];
    await open({ ...gate, approval: { ...approval, phase: 'research', output: null }, phases, inputs: {} });
    expect(text('.phasenb-gate label')).toBe('research starts once you approve.');
    expect(shown('.phasenb-gate pre')).toBe(false);
  });

  it('approves an edited plan, and no plan that is not JSON', async () => {
    await open(gate);
    press('Edit');
    type(editor(), '{"model": "forest"');
    press('Approve');
    expect(editor()?.getAttribute('aria-invalid')).toBe('true');
    expect(text('.phasenb-gate .phasenb-refusal')).toMatch(/^This is not JSON: /);
    type(editor(), '{"model": "forest"}');
    press('Approve');
    await answered('approve');
    expect(asked('approve')[0]).toMatchObject({ edit: { model: 'forest' } });
    expect(shown('.phasenb-gate .phasenb-refusal')).toBe(false);
  });

  describe('whose numbers JavaScript can not hold', () => {
    const PLAN = '{"folds":5.0,"10":1,"2":[1.0,1e400],"id":12345678901234567,"turned":"\u202ex"}';
    const shownPlan = PLAN.replace('\u202e', '\\u202e');
    const packed = (json: string | null | undefined) => json?.replace(/\s/g, '');
    const exact = { ...gate, approval: { ...approval, output: 'PLAN' } };

    beforeEach(() => {
      server.write = message => JSON.stringify(message).replace('"PLAN"', PLAN);
    });

    it('shows and sends them as they were written', async () => {
      await open(exact);
      expect(packed(text('.phasenb-gate pre'))).toBe(shownPlan);
      press('Edit');
      expect(packed(editor()?.value)).toBe(shownPlan);
      const edited = (editor()?.value ?? '').replace('"folds": 5.0', '"folds": 6.0');
      type(editor(), edited);
      press('Approve');
      await answered('approve');
      expect(server.frames.at(-1)).toContain(`,"edit":${edited}}`);
    });

    it('does so when the gate came as an event, and in the feed', async () => {
      await open({ phases: [phase({ status: 'complete' }), phase({ name: 'planning', status: 'pending' })] });
      const about = { task_id: TASK_ID, session: 's', at: task.updated_at, type: 'approval_requested', kind: 'gate' };
      const { phase: name, revision, output } = exact.approval;
      server.say({ ...about, phase: name, revision, output, seq: 3 });
      server.say({ ...about, type: 'task_paused', by: 'ada', seq: 4 });
      server.say({ ...about, type: 'task_resumed', by: 'ada', seq: 5 });
      await until(() => view.model.seq === 5);
      view.paint();
      expect(packed(text('.phasenb-gate pre'))).toBe(shownPlan);

      const answer = server.answer;
      server.answer = (command, say) =>
        command.type === 'subscribe_feed'
          ? say({ type: 'feed', tasks: [snapshot(), snapshot({ ...exact, seq: 9 })], cursor: 'c', next: null })
          : answer(command, say);
      store.openFeed('user');
      await until(() => store.complete);
      const { approval: told } = view.model.state as TaskState;
      expect(packed(exactText(told as Approval))).toBe(shownPlan);
    });

    it('has no editor for what only a notebook has kept, until the server has told', async () => {
      tell(exact);
      const saved = {
        snapshot: snapshot({ ...gate, approval: { ...approval, output: { folds: 5 } } }),
        at: new Date()
      };
      openSaved(saved);
      document.body.append(view.node);
      expect(text('.phasenb-gate pre')).toBe('{\n  "folds": 5\n}');
      expect(buttons()).not.toContain('Edit');
      await until(() => view.model.live);
      view.paint();
      expect(packed(text('.phasenb-gate pre'))).toBe(shownPlan);
      expect(buttons()).toContain('Edit');
    });
  });

  it('shows all of a long plan', async () => {
    const output = 'yes '.repeat(2000);
    await open({ ...gate, approval: { ...approval, output } });
    expect(text('.phasenb-gate pre')).toBe(JSON.stringify(output));
  });

  it('keeps what somebody writes while the task is told of', async () => {
    await open(gate);
    press('Edit');
    type(editor(), 'half wri');
    const before = editor();
    server.cut();
    await until(() => !view.model.live);
    await until(() => view.model.live);
    view.paint();
    expect(editor()).toBe(before);
    expect(editor()?.value).toBe('half wri');
  });

  const pressEscape = (field: Element | null) => {
    const { KeyboardEvent } = document.defaultView as unknown as typeof globalThis;
    field?.dispatchEvent(new KeyboardEvent('keydown', { key: 'Escape', bubbles: true }));
  };

  it('has a way back from the editor', async () => {
    await open(gate);
    press('Edit');
    expect(buttons()).toEqual(['Approve', 'Discard', 'Deny…', 'Pause', 'Cancel']);
    type(editor(), '{"half": ');
    press('Approve');
    expect(shown('.phasenb-gate .phasenb-refusal')).toBe(true);
    const beyond = jest.fn();
    document.body.addEventListener('keydown', beyond);
    pressEscape(editor());
    expect(beyond).not.toHaveBeenCalled();
    expect([shown('.phasenb-gate > pre'), shown('.phasenb-gate .phasenb-refusal')]).toEqual([true, false]);
    expect(document.activeElement?.textContent).toBe('Edit');
    press('Edit');
    expect(editor()?.value).toBe('{"half": '); // Escape may have been a slip
    press('Discard');
    press('Edit');
    expect(editor()?.value).toBe('{\n  "model": "tree",\n  "folds": 5\n}');
    press('Discard');
    press('Approve');
    await answered('approve');
    expect(asked('approve')[0]).not.toHaveProperty('edit');
  });

  const about = { task_id: TASK_ID, session: 's', at: '2026-01-01T00:00:02.000000Z' };
  const given = { ...about, type: 'approval_given', phase: 'planning', edited: null, revision: null, note: null };

  it('leaves what somebody writes to be read, and says who was faster', async () => {
    await open(gate);
    press('Edit');
    type(editor(), '{"model": "mine"}');
    server.say({ ...given, by: 'eve', seq: 3 });
    await until(() => view.model.seq === 3);
    view.paint();
    expect(text('.phasenb-gate [role="status"]')).toBe(
      'eve approved planning meanwhile. This is what you wrote, which was not sent:'
    );
    expect(text('.phasenb-gate pre')).toBe('{"model": "mine"}');
    expect(editor()).toBeNull();
    press('Discard');
    expect(shown('.phasenb-gate')).toBe(false);
  });

  it('leaves nothing of what was sent, though its event comes before the answer', async () => {
    await open(gate);
    const answer = server.answer;
    server.answer = (command, say) => {
      if (command.type === 'approve') {
        server.say({ ...given, by: 'ada', seq: 3 });
      }
      answer(command, say);
    };
    press('Edit');
    type(editor(), '{"model": "mine"}');
    view.node.querySelector<HTMLElement>('.phasenb-primary')?.focus();
    press('Approve');
    await until(() => asked('approve').length === 1 && view.model.seq === 3);
    await until(() => !shown('.phasenb-gate'));
    expect(text('.phasenb-gate')).toBe('');
    expect(document.activeElement).toBe(view.node); // the keyboard goes on from the task
  });

  it('doubts an edit of another kind once', async () => {
    await open(gate);
    press('Edit');
    type(editor(), '42');
    press('Approve');
    expect(text('.phasenb-gate .phasenb-refusal')).toMatch(/^This was an object, and is a number now\./);
    expect(asked('approve')).toEqual([]);
    press('Approve');
    await answered('approve');
    expect(asked('approve')[0]).toMatchObject({ edit: 42 });
  });

  it('has what was written there again, when its view was closed and is opened', async () => {
    await open(gate);
    press('Edit');
    type(editor(), '{"model": "mine"}');
    press('Deny…');
    type(view.node.querySelector('form textarea'), 'too slow');
    view.dispose();
    openSaved();
    await until(() => view.model.live);
    view.paint();
    expect([shown('.phasenb-gate > textarea'), editor()?.value]).toEqual([true, '{"model": "mine"}']);
    expect(view.node.querySelector<HTMLTextAreaElement>('form textarea')?.value).toBe('too slow');
    press('Discard');
    type(view.node.querySelector('form textarea'), '');
    view.dispose();
    openSaved();
    await until(() => view.model.live);
    view.paint();
    expect(shown('.phasenb-gate > textarea')).toBe(false);
  });

  it('keeps its editor while the task is paused', async () => {
    await open(gate);
    press('Edit');
    type(editor(), '{"model": "mine"}');
    server.say({ ...about, type: 'task_paused', by: 'eve', seq: 3 });
    await until(() => view.model.seq === 3);
    view.paint();
    expect(shown('.phasenb-gate')).toBe(false);
    server.say({ ...about, type: 'task_resumed', by: 'eve', seq: 4 });
    await until(() => view.model.seq === 4);
    view.paint();
    expect([shown('.phasenb-gate > textarea'), editor()?.value]).toEqual([true, '{"model": "mine"}']);
  });

  it('denies with a reason, and has a phase run again', async () => {
    await open(gate);
    press('Deny…');
    type(view.node.querySelector('form textarea'), 'too slow');
    const redo = view.node.querySelector<HTMLSelectElement>('form select');
    expect([...(redo?.options ?? [])].map(option => option.textContent)).toEqual([
      'end the task',
      'run research again'
    ]);
    const reason = () => text('form label');
    expect(reason()).toBe('Why not?'); // nobody is told that ends the task
    (redo as HTMLSelectElement).value = 'research';
    redo?.dispatchEvent(new (document.defaultView as unknown as typeof globalThis).Event('change'));
    expect(reason()).toBe('What should research do otherwise?');
    press('Deny');
    await answered('deny');
    expect(asked('deny')[0]).toMatchObject({ phase: 'planning', if_seq: 2, reason: 'too slow', redo: 'research' });
  });
});
