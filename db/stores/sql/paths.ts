/** What lies beside an SQLite database and belongs to it. */
export interface SqlitePaths {
  readonly database: string;
  /** What was committed since the last checkpoint; SQLite makes it and removes it. */
  readonly wal: string;
  /** What those who have the database open share; SQLite makes it and removes it. */
  readonly shm: string;
  /** What this machine has of the queue's: outputs, notes of processes, what repairs have replaced. */
  readonly state: string;
}

export const sqlitePaths = (database: string): SqlitePaths => ({
  database,
  wal: `${database}-wal`,
  shm: `${database}-shm`,
  state: `${database}-state`,
});

/** What must belong to the user of a store, and to nobody else. */
export const trustedParts = ({ database, wal, shm, state }: SqlitePaths): string[] => [database, wal, shm, state];
