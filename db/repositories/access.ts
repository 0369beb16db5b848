import type { Draft } from '../stores/file/draft.js';
import type { QueueState } from '../stores/file/queueState.js';

/** How a repository reaches the records: each verb in a transaction of its own, or all in one that is under way. */
export interface Access {
  read<T>(look: (state: QueueState) => T): Promise<T>;
  write<T>(change: (draft: Draft) => T): Promise<T>;
}
