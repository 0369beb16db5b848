import type { Run } from '../line/command.js';
import type { runWorkers } from './index.js';
import { run as startWorkers } from './workerStart.js';

export const run: Run<typeof runWorkers> = (options) => startWorkers({ ...options, foreground: true });
