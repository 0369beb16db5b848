import type { WorkerEvent } from '../../core/workerManager.js';
import { visible } from './output.js';

/** One line that tells a person what the workers just did. */
export function describeEvent(event: WorkerEvent, at: Date): string {
  if (event.kind === 'worker started') return `Worker ${event.index} started with PID: ${event.pid}`;
  if (event.kind === 'stopping') {
    return event.again
      ? 'Stopping: the running jobs are ended and given back.'
      : 'Stopping once the running jobs have finished. Ctrl-C again ends them and gives them back.';
  }
  const time = at.toTimeString().slice(0, 8);
  switch (event.kind) {
    case 'worker ended':
      return `${time} Worker with PID ${event.pid} ended: ${visible(event.how)}`;
    case 'job started':
      return `${time} ▶ ${visible(event.id)} started, attempt ${event.attempt}`;
    case 'job ended':
      return `${time} ${describeEnd(event)}`;
  }
}

const ENDS = {
  complete: '✔ % completed',
  fail: '✖ % failed, will be retried',
  bury: '✖ % failed for the last time, now in the dead letter queue',
  release: '↩ % given back',
  refused: '✖ % ended, but had been taken back from its worker',
};

function describeEnd({ id, as, error }: Extract<WorkerEvent, { kind: 'job ended' }>): string {
  const end = ENDS[as].replace('%', () => visible(id));
  return error === undefined ? end : `${end}: ${visible(error)}`;
}
