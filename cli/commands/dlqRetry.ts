import type { Run } from '../line/command.js';
import { printResult } from '../text/output.js';
import { withCore } from '../withCore.js';
import type { dlqRetry } from './index.js';

export const run: Run<typeof dlqRetry> = async ({ place, json }, id) => {
  const job = await withCore(place, ({ queue }) => queue.retryFromDLQ(id));
  printResult(json, `Job '${id}' moved back to queue for retry.`, job);
};
