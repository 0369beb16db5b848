/** The repositories over a store: each verb in a transaction of its own, or several in one. */
import type { Store, Transaction } from '../store.js';
import { type Access, accessTo, within } from './access.js';
import { DlqRepo } from './dlqRepo.js';
import { JobRepo } from './jobRepo.js';

export interface Repositories {
  readonly jobs: JobRepo;
  readonly dlq: DlqRepo;
}

const over = (access: Access): Repositories => ({ jobs: new JobRepo(access), dlq: new DlqRepo(access) });

/** Each verb by itself. */
export const repositoriesOf = (store: Store): Repositories => over(accessTo(store));

/** All verbs as one: all of what they change is kept, or nothing. */
export const repositoriesIn = (transaction: Transaction): Repositories => over(within(transaction));
