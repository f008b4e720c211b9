import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { sayConnection } from './announcer';
import { Client } from './client';
import { calmFrames } from './frames';

import panel from './panel/plugins';
import { RANK, rendererFactory } from './renderer';
import { TaskStore } from './store';
import { DOMAIN, ITasks } from './tokens';

const tasks: JupyterFrontEndPlugin<TaskStore> = {
  id: 'phasenb:tasks',
  description: 'The tasks of this user, over one connection that is made when something asks for it.',
  autoStart: true,
  provides: ITasks,
  activate: (app: JupyterFrontEnd) =>
    new TaskStore(new Client({ settings: app.serviceManager.serverSettings }), calmFrames())
};

const renderer: JupyterFrontEndPlugin<void> = {
  id: 'phasenb:renderer',
  description: "Shows a task in a cell's output, live from the server.",
  autoStart: true,
  requires: [ITasks, IRenderMimeRegistry],
  optional: [ITranslator],
  activate: (_: JupyterFrontEnd, store: TaskStore, rendermime: IRenderMimeRegistry, translator: ITranslator | null) => {
    const trans = (translator ?? nullTranslator).load(DOMAIN);
    rendermime.addFactory(rendererFactory(store, trans), RANK);
    sayConnection(store, trans);
  }
};

export default [tasks, renderer, ...panel];
export { ITasks };
