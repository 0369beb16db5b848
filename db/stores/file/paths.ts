/** Where the parts of a store lie in its data directory. */
export interface StorePaths {
  readonly dir: string;
  readonly queue: string;
  readonly dlq: string;
  readonly config: string;
  readonly journal: string;
  /** In a directory of its own, so that locking does not wake those who watch the store. */
  readonly lockDir: string;
  readonly lock: string;
  readonly workers: string;
  readonly logs: string;
  /** What repairs have replaced. */
  readonly replaced: string;
}

export const storePaths = (dir: string): StorePaths => ({
  dir,
  queue: `${dir}/queue.json`,
  dlq: `${dir}/dlq.json`,
  config: `${dir}/config.json`,
  journal: `${dir}/journal.ndjson`,
  lockDir: `${dir}/lock`,
  lock: `${dir}/lock/store`,
  workers: `${dir}/workers`,
  logs: `${dir}/logs`,
  replaced: `${dir}/replaced`,
});

/** The files that are only ever replaced whole. */
export const replacedFiles = ({ queue, dlq, config, journal }: StorePaths): string[] => [queue, dlq, config, journal];

/** What must belong to the user of a store, and to nobody else. */
export const trustedParts = ({ queue, dlq, config, journal, lockDir, workers, logs }: StorePaths): string[] => [
  queue,
  dlq,
  config,
  journal,
  lockDir,
  workers,
  logs,
];
