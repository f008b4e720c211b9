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

  it('shows the plan and approves it as it is', async () => {
    await open(gate);
    expect(text('.phasenb-gate pre')).toBe('{\n  "model": "tree",\n  "folds": 5\n}');
    expect(buttons()).toEqual(['Approve', 'Edit', 'Deny…', 'Pause', 'Cancel']);
    press('Approve');
    await until(() => asked('approve').length === 1);
    expect(asked('approve')[0]).toEqual({ id: '3', type: 'approve', task_id: TASK_ID, phase: 'planning', if_seq: 2 });
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
    await until(() => asked('approve').length === 1);
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
      await until(() => asked('approve').length === 1);
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

  it('denies with a reason, and has a phase run again', async () => {
    await open(gate);
    press('Deny…');
    type(view.node.querySelector('form textarea'), 'too slow');
    const redo = view.node.querySelector<HTMLSelectElement>('form select');
    expect([...(redo?.options ?? [])].map(option => option.textContent)).toEqual([
      'end the task',
      'run research again'
    ]);
    (redo as HTMLSelectElement).value = 'research';
    press('Deny');
    await until(() => asked('deny').length === 1);
    expect(asked('deny')[0]).toMatchObject({ phase: 'planning', if_seq: 2, reason: 'too slow', redo: 'research' });
  });
});
