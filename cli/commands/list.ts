import type { Run } from '../line/command.js';
import { printRecords } from '../text/output.js';
import { withCore } from '../withCore.js';
import type { list } from './index.js';

export const run: Run<typeof list> = async ({ place, state }) => {
  const jobs = await withCore<readonly object[]>(place, ({ queue }) =>
    state === 'dead' ? queue.listDLQ() : queue.list(state),
  );
  printRecords(jobs);
};
