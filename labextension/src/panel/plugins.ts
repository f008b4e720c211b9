// The panel and its surroundings, in JupyterLab's own places: side bar, status bar, notifications, palette, settings.

import { ILabShell, ILayoutRestorer, type JupyterFrontEnd, type JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette, Notification } from '@jupyterlab/apputils';
import { PageConfig } from '@jupyterlab/coreutils';
import { DocumentWidget } from '@jupyterlab/docregistry';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { IStatusBar } from '@jupyterlab/statusbar';
import { ITranslator, nullTranslator, type TranslationBundle } from '@jupyterlab/translation';
import { LabIcon } from '@jupyterlab/ui-components';
import type { Widget } from '@lumino/widgets';
import type { Request } from '../client';
import { SESSION } from '../client';
import type { TaskModel } from '../model';
import { refusalSentence } from '../sentences';
import type { TaskStore } from '../store';
import { DOMAIN, ITasks } from '../tokens';
import { originOf, pathOf } from './notebook';
import { type Notice, Notices, type Standing } from './notices';
import { TaskPanel } from './panel';
import { TaskStatus } from './status';

export const COMMANDS = {
  open: 'phasenb:open',
  show: 'phasenb:show',
  launch: 'phasenb:launch',
  notebook: 'phasenb:open-notebook'
} as const;
const STEERING = ['cancel', 'pause', 'resume', 'retry', 'give_up'] as const;

const icon = new LabIcon({
  name: 'phasenb:tasks',
  svgstr:
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" width="16"><g class="jp-icon3" fill="#616161">' +
    '<rect x="3" y="5" width="8" height="3.5" rx="1.75"/><rect x="8" y="10.25" width="9" height="3.5" rx="1.75"/>' +
    '<rect x="14" y="15.5" width="7" height="3.5" rx="1.75"/></g></svg>'
});

const root = () => PageConfig.getOption('phasenbRoot');

const panel: JupyterFrontEndPlugin<TaskPanel> = {
  id: 'phasenb:panel',
  description: 'All tasks of the user in a side panel, with commands and a form to launch one.',
  autoStart: true,
  requires: [ITasks],
  optional: [ITranslator, ILayoutRestorer, ICommandPalette, ILabShell],
  activate: activatePanel
};

function activatePanel(
  app: JupyterFrontEnd,
  store: TaskStore,
  translator: ITranslator | null,
  restorer: ILayoutRestorer | null,
  palette: ICommandPalette | null,
  shell: ILabShell | null
): TaskPanel {
  const trans = (translator ?? nullTranslator).load(DOMAIN);
  const widget = new TaskPanel({
    store,
    trans,
    icon,
    origin: ({ state }: TaskModel) => (state === null ? null : originOf(state, root(), SESSION, trans)),
    openNotebook: path => openNotebook(app, path),
    launch: () => void app.commands.execute(COMMANDS.launch)
  });
  app.shell.add(widget, 'left', { rank: 650 });
  restorer?.add(widget, widget.id);
  shell?.currentChanged.connect((_, { newValue }) => widget.setNotebook(notebookIn(app, newValue)));
  const { contents } = app.serviceManager;
  contents.fileChanged.connect((_, { type, oldValue, newValue }) => {
    const before = oldValue?.path ? pathOf(root(), contents.localPath(oldValue.path)) : null;
    if (before !== null && (type === 'rename' || type === 'delete')) {
      const now = type === 'rename' && newValue?.path ? pathOf(root(), contents.localPath(newValue.path)) : null;
      store.moved(before, now);
      // The document itself hears of it by the same signal.
      void Promise.resolve().then(() => widget.setNotebook(notebookIn(app, app.shell.currentWidget)));
    }
  });
  addCommands(app, widget, translator ?? nullTranslator, trans, palette);
  app.started.then(() => store.openFeed('user'));
  return widget;
}

async function openNotebook(app: JupyterFrontEnd, path: string): Promise<void> {
  await app.serviceManager.contents.get(path, { content: false });
  await app.commands.execute('docmanager:open', { path });
}

/** The path of the notebook in front, as its kernel has it. */
function notebookIn(app: JupyterFrontEnd, widget: Widget | null): string | null {
  if (!(widget instanceof DocumentWidget) || widget.context.contentsModel?.type === 'file') {
    return null;
  }
  const path = app.serviceManager.contents.localPath(widget.context.path);
  return path.endsWith('.ipynb') ? pathOf(root(), path) : null;
}

function addCommands(
  app: JupyterFrontEnd,
  widget: TaskPanel,
  translator: ITranslator,
  trans: TranslationBundle,
  palette: ICommandPalette | null
): void {
  const { commands } = app;
  const { store } = widget;
  const open = () => app.shell.activateById(widget.id);
  const chosen = () => (widget.selected === null ? undefined : store.tasks.get(widget.selected));
  commands.addCommand(COMMANDS.open, { label: trans.__('Show the tasks'), icon, execute: open });
  commands.addCommand(COMMANDS.show, {
    label: trans.__('Show a task'),
    execute: args => {
      open();
      widget.select(String(args.taskId));
    }
  });
  commands.addCommand(COMMANDS.launch, {
    label: trans.__('Launch a task of a registered agent…'),
    execute: async () => {
      open();
      const { LaunchForm } = await import('./launch'); // the form's library is loaded when it is first of use
      const close = () => widget.select(null);
      const launched = (taskId: string) => widget.select(taskId);
      widget.showBelow(new LaunchForm({ store, translator, trans, launched, close }));
    }
  });
  commands.addCommand(COMMANDS.notebook, {
    label: trans.__('Open the notebook that launched the chosen task'),
    isEnabled: () => pathOfChosen() !== null,
    execute: () => openNotebook(app, pathOfChosen() ?? '')
  });
  const pathOfChosen = () => {
    const task = chosen()?.state;
    return task ? originOf(task, root(), SESSION, trans).path : null;
  };
  const labels = {
    cancel: trans.__('Cancel the chosen task'),
    pause: trans.__('Pause the chosen task'),
    resume: trans.__('Resume the chosen task'),
    retry: trans.__('Retry the chosen task'),
    give_up: trans.__('Give up the retry that the chosen task waits for')
  };
  for (const type of STEERING) {
    commands.addCommand(`phasenb:${type}`, {
      label: labels[type],
      isEnabled: () => chosen()?.state?.actions.includes(type) ?? false,
      execute: async () => {
        try {
          await store.client.request({ type, task_id: widget.selected } as Request);
        } catch (error) {
          Notification.error(refusalSentence(error, trans));
        }
      }
    });
  }
  const listed = [COMMANDS.open, COMMANDS.launch, COMMANDS.notebook, ...STEERING.map(type => `phasenb:${type}`)];
  for (const command of listed) {
    palette?.addItem({ command, category: trans.__('Tasks (phasenb)') });
  }
}

const status: JupyterFrontEndPlugin<void> = {
  id: 'phasenb:status',
  description: 'The number of tasks at work, in the status bar.',
  autoStart: true,
  requires: [ITasks, IStatusBar],
  optional: [ITranslator],
  activate: (app: JupyterFrontEnd, store: TaskStore, bar: IStatusBar, translator: ITranslator | null) => {
    const trans = (translator ?? nullTranslator).load(DOMAIN);
    const item = new TaskStatus(store, () => void app.commands.execute(COMMANDS.open), trans);
    const about = { isActive: () => item.isActive, activeStateChanged: item.activeChanged };
    bar.registerStatusItem('phasenb:status', { item, align: 'left', rank: 3, ...about });
  }
};

const notices: JupyterFrontEndPlugin<void> = {
  id: 'phasenb:notices',
  description: 'Notifications of what becomes of tasks.',
  autoStart: true,
  requires: [ITasks],
  optional: [ISettingRegistry, ITranslator],
  activate: async (
    app: JupyterFrontEnd,
    store: TaskStore,
    registry: ISettingRegistry | null,
    translator: ITranslator | null
  ) => {
    const trans = (translator ?? nullTranslator).load(DOMAIN);
    const told = new Notices(store, notice => tell(app, notice, trans), trans);
    const settings = await registry?.load('phasenb:notices');
    const apply = () => {
      const wanted = (name: string) => settings?.get(name).composite !== false;
      told.wanted = { completed: wanted('completed'), failed: wanted('failed'), approval: wanted('approval') };
    };
    apply();
    settings?.changed.connect(apply);
  }
};

function tell(app: JupyterFrontEnd, { kind, message, taskId }: Notice, trans: TranslationBundle): Standing {
  const show = () => void app.commands.execute(taskId === null ? COMMANDS.open : COMMANDS.show, { taskId });
  const types = { completed: 'success', failed: 'error', approval: 'warning' } as const;
  const id = Notification.emit(message, types[kind], {
    autoClose: kind === 'approval' ? false : 8000, // from then on it is behind the bell
    actions: [{ label: kind === 'approval' ? trans.__('Look and decide') : trans.__('Show'), callback: show }]
  });
  return { update: text => void Notification.update({ id, message: text }), takeBack: () => Notification.dismiss(id) };
}

export default [panel, status, notices];
