import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';

const plugin: JupyterFrontEndPlugin<void> = {
  id: 'phasenb:renderer',
  autoStart: true,
  activate: (app: JupyterFrontEnd) => {
    console.log('phasenb', app.name);
  }
};
export default plugin;
