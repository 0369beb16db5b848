import type { Run } from '../line/command.js';
import { printRecords } from '../text/output.js';
import { withCore } from '../withCore.js';
import type { dlqList } from './index.js';

export const run: Run<typeof dlqList> = async ({ place }) => {
  printRecords(await withCore(place, ({ queue }) => queue.listDLQ()));
};
