// The form that launches a registered agent, made from its input schema as JupyterLab's settings are.
//
// Rules: what the schema refuses is told beside its field, what the server refuses below the form, and nothing that was
// filled in is lost; a launch that is sent again because its answer was lost is the same launch.

import type { ITranslator, TranslationBundle } from '@jupyterlab/translation';
import { FormComponent, ReactWidget } from '@jupyterlab/ui-components';
import type { ReadonlyJSONObject } from '@lumino/coreutils';
import { UUID } from '@lumino/coreutils';
import type { IChangeEvent } from '@rjsf/core';
import { customizeValidator } from '@rjsf/validator-ajv8';
import { createElement as e, type FormEvent, type ReactElement, useEffect, useRef, useState } from 'react';
import { ServerError } from '../errors';
import type { AgentDescription, AgentList, Launched, TaskState } from '../protocol';
import { refusalSentence } from '../sentences';
import type { TaskStore } from '../store';
import { inputs, plain } from '../words';
import { detailBar } from './detail';
import { formSchema, launchInputs, type Schema } from './form';
import { launchedBefore } from './listing';

export namespace LaunchForm {
  export interface IOptions {
    store: TaskStore;
    translator: ITranslator;
    trans: TranslationBundle;
    launched: (taskId: string) => void;
    close: () => void;
  }
}

const validator = customizeValidator<ReadonlyJSONObject>();

export class LaunchForm extends ReactWidget {
  constructor(private _options: LaunchForm.IOptions) {
    super();
    this.addClass('phasenb-form');
    this.node.tabIndex = -1; // takes the focus until its fields are there
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', _options.trans.__('Launch a task'));
    void this._ask(async () => {
      const response = await _options.store.client.get('agents');
      const { agents }: AgentList = await response.json();
      this._names = agents.map(each => each.name);
      if (this._names[0] !== undefined) {
        await this._choose(this._names[0]);
      } else {
        this._before = launchedBefore(_options.store.tasks.values());
      }
    });
  }

  protected override render(): ReactElement {
    const { trans, close } = this._options;
    const agent = this._agent;
    return e(
      'div',
      null,
      e(BackBar, { trans, close }),
      e('h3', null, trans.__('Launch a task')),
      this._names.length > 0 ? this._chooser(this._names) : null,
      this._says === null ? null : e('p', { role: 'status', className: 'phasenb-sub' }, this._says),
      this._before.length === 0 ? null : this._launchedBefore(),
      agent === null ? null : e(AgentForm, { ...this._options, agent, key: agent.name }),
      this._problem === null ? null : e('p', { role: 'alert', className: 'phasenb-refusal' }, this._problem)
    );
  }

  /** What ran before: each opens its newest task, with its inputs, its notebook and what can be done with it. */
  private _launchedBefore(): ReactElement {
    const { trans, launched } = this._options;
    const rows = this._before.map(task =>
      e(
        'li',
        { key: task.task_id },
        e(
          'button',
          { type: 'button', className: 'phasenb-before', onClick: () => launched(task.task_id) },
          e('strong', { dir: 'auto' }, plain(task.name)),
          e('span', { className: 'phasenb-sub', dir: 'auto' }, inputs(task).join(', '))
        )
      )
    );
    const heading = e('h4', { id: 'phasenb-before' }, trans.__('Launched before'));
    return e('div', null, heading, e('ul', { 'aria-labelledby': 'phasenb-before' }, ...rows));
  }

  private _chooser(names: string[]): ReactElement {
    const options = names.map(name => e('option', { key: name, value: name }, name));
    const onChange = (event: FormEvent<HTMLSelectElement>) => {
      const name = event.currentTarget.value;
      void this._ask(() => this._choose(name));
    };
    const select = e('select', { id: 'phasenb-agent', className: 'phasenb-input', onChange }, options);
    return e('div', null, e('label', { htmlFor: 'phasenb-agent' }, this._options.trans.__('Agent')), select);
  }

  private async _choose(name: string): Promise<void> {
    this._chosen = name;
    this._agent = null;
    this.update();
    const response = await this._options.store.client.get(`agents/${encodeURIComponent(name)}`);
    const agent: AgentDescription = await response.json();
    if (this._chosen === name) {
      this._agent = agent;
    }
  }

  private async _ask(asking: () => Promise<void>): Promise<void> {
    const { trans } = this._options;
    this._problem = null;
    this._says = trans.__('Asking the agent what it takes…');
    this.update();
    const none = trans.__(
      'No agents are registered on this server: name them in `agents` of server_config.json. What a notebook launches is launched again there.'
    );
    try {
      await asking();
      this._says = this._names.length === 0 ? none : null;
    } catch (error) {
      this._says = null;
      const asked = error instanceof ServerError; // nothing was to be done, so nothing is "not done"
      this._problem = asked ? trans.__('The agent can not be shown: %1', error.message) : refusalSentence(error, trans);
    }
    if (!this.isDisposed) {
      this.update(); // or React would begin anew in a node that nobody has
    }
  }

  private _names: string[] = [];
  private _before: TaskState[] = [];
  private _chosen: string | null = null;
  private _agent: AgentDescription | null = null;
  private _says: string | null = null;
  private _problem: string | null = null;
}

function AgentForm(options: LaunchForm.IOptions & { agent: AgentDescription }): ReactElement {
  const { store, trans, translator, agent, launched } = options;
  const [filled, setFilled] = useState<Schema>({});
  const [name, setName] = useState('');
  const [gates, setGates] = useState<ReadonlySet<string>>(new Set());
  const [tried, setTried] = useState(false);
  const [asking, setAsking] = useState(false);
  const [problem, setProblem] = useState<{ says: string } | null>(null); // the same one again is another one
  const [key, setKey] = useState(() => UUID.uuid4());
  const inputs = agent.inputs as Schema;
  const [schema] = useState(() => formSchema(inputs, trans.__('JSON, or text as it stands')));

  async function submit(event: FormEvent): Promise<void> {
    event.preventDefault();
    setTried(true);
    if (validator.validateFormData(filled, schema).errors.length > 0) {
      setProblem({ says: trans.__('Something is missing or wrong above.') });
      return;
    }
    setAsking(true);
    setProblem(null);
    try {
      const given = { name: name || null, approve_before: agent.phases.filter(phase => gates.has(phase)) };
      const about = { agent: agent.name, options: given, idempotency_key: key };
      const exact = { inputs: launchInputs(inputs, filled) };
      const reply = await store.client.request<Launched>({ type: 'launch', ...about }, undefined, exact);
      launched(reply.task_id);
    } catch (error) {
      setProblem({ says: refusalSentence(error, trans) });
      setAsking(false);
    }
  }

  const changed = () => {
    setKey(UUID.uuid4()); // another launch
    setProblem(null);
  };
  const choose = (chosen: ReadonlySet<string>) => {
    setGates(chosen);
    changed();
  };
  const form = e(FormComponent, {
    schema,
    validator,
    translator,
    tagName: 'div',
    idPrefix: 'phasenb-inputs',
    formData: filled as ReadonlyJSONObject,
    liveValidate: tried,
    noHtml5Validate: true,
    showErrorList: false,
    showModifiedFromDefault: false,
    compact: true,
    onChange: (event: IChangeEvent<ReadonlyJSONObject>) => {
      setFilled((event.formData ?? {}) as Schema);
      changed();
    }
  });
  const node = useRef<HTMLFormElement>(null);
  useEffect(() => mendFields(node.current)); // after each rendering
  const refusal = useRef<HTMLParagraphElement>(null);
  useEffect(() => {
    if (problem !== null) {
      refusal.current?.focus(); // so it is seen, however long the form
    }
  }, [problem]);
  return e(
    'form',
    { onSubmit: submit, noValidate: true, ref: node },
    inputs.description ? e('p', { className: 'phasenb-sub' }, String(inputs.description)) : null,
    form,
    e('label', { htmlFor: 'phasenb-task-name' }, trans.__('Name of the task (optional)')),
    e('input', {
      id: 'phasenb-task-name',
      className: 'phasenb-input',
      maxLength: 200,
      placeholder: agent.name,
      value: name,
      onChange: (event: FormEvent<HTMLInputElement>) => {
        setName(event.currentTarget.value);
        changed();
      }
    }),
    e(Gates, { phases: agent.phases, gates, trans, set: choose }),
    e(
      'div',
      { className: 'phasenb-buttons' },
      e('button', { type: 'submit', className: 'phasenb-button phasenb-primary', disabled: asking }, trans.__('Launch'))
    ),
    problem === null
      ? null
      : e('p', { role: 'alert', className: 'phasenb-refusal', tabIndex: -1, ref: refusal }, problem.says)
  );
}

/** The same bar as above a chosen task. */
function BackBar({ trans, close }: { trans: TranslationBundle; close: () => void }): ReactElement {
  const node = useRef<HTMLDivElement>(null);
  useEffect(() => node.current?.replaceChildren(detailBar(trans, close)), [trans, close]);
  return e('div', { ref: node });
}

/** JupyterLab's field template shows a field's name to the eye only: a screen reader needs it as well. And its button that
 * adds to a list has no type, so that it would launch.
 */
function mendFields(form: HTMLFormElement | null): void {
  for (const button of form?.querySelectorAll('.rjsf button:not([type])') ?? []) {
    button.setAttribute('type', 'button');
  }
  for (const field of form?.querySelectorAll('.rjsf :is(input, select, textarea):not([aria-label])') ?? []) {
    const name = field.closest('.form-group')?.querySelector('.jp-FormGroup-fieldLabel')?.textContent;
    field.setAttribute('aria-label', name || field.id);
  }
}

interface GatesProps {
  phases: readonly string[];
  gates: ReadonlySet<string>;
  trans: TranslationBundle;
  set: (gates: ReadonlySet<string>) => void;
}

function Gates({ phases, gates, trans, set }: GatesProps): ReactElement {
  const boxes = phases.map(phase =>
    e(
      'label',
      { key: phase },
      e('input', {
        type: 'checkbox',
        checked: gates.has(phase),
        onChange: () => set(new Set(gates.has(phase) ? [...gates].filter(each => each !== phase) : [...gates, phase]))
      }),
      phase
    )
  );
  return e('fieldset', { className: 'phasenb-gates' }, e('legend', null, trans.__('Ask me before')), ...boxes);
}
