/**
 * The tables of a queue, and how those of an earlier version become these. A record is JSON text, whole, with what no
 * version before or after knows of; the columns that are searched are generated from it.
 */
import type { Connection } from './driver.js';

/** Tells a queue from other databases (`file` and SQLite's own tools show it): "qctl". */
export const APPLICATION_ID = 0x7163746c;

/** What makes each version out of the one before; only ever added to. */
const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE change (seq INTEGER NOT NULL); -- the number of the last one
  INSERT INTO change VALUES (0);

  CREATE TABLE job_records (
    place INTEGER PRIMARY KEY, -- the number of the change that added it, or brought it back
    id TEXT NOT NULL UNIQUE,
    seq INTEGER NOT NULL,      -- of its last change
    due INTEGER NOT NULL,      -- 1 if it waits and its time had come when somebody last looked
    record TEXT NOT NULL,
    state TEXT AS (record ->> 'state'),
    run_at INTEGER AS (record ->> 'run_at'),
    created_at INTEGER AS (record ->> 'created_at'),
    priority INTEGER AS (coalesce(record ->> 'priority', 0))
  );
  CREATE INDEX jobs_by_state ON job_records (state, created_at, place);
  CREATE INDEX jobs_by_time ON job_records (due, run_at) WHERE state IN ('pending', 'failed');
  CREATE INDEX jobs_in_turn ON job_records (priority DESC, created_at, place) WHERE due = 1;

  CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

  CREATE TABLE workers (
    id TEXT PRIMARY KEY,
    record TEXT NOT NULL,
    heard_at INTEGER NOT NULL,    -- its last sign of life: milliseconds since the epoch,
    heard_monotonic REAL NOT NULL -- and since the boot
  );

  -- For people. Times are milliseconds since the epoch.
  CREATE VIEW jobs AS
    SELECT id, record ->> 'command' AS command, state, record ->> 'attempts' AS attempts,
      record ->> 'max_retries' AS max_retries, run_at AS next_run_at, record ->> 'worker_id' AS locked_by,
      record ->> 'last_error' AS last_error, created_at, record ->> 'updated_at' AS updated_at
    FROM job_records ORDER BY created_at, place;
  CREATE VIEW dlq AS
    SELECT id, command, attempts, max_retries, last_error AS error, updated_at AS failed_at, created_at
    FROM jobs WHERE state = 'dead';
  `,
];
export const SCHEMA_VERSION = MIGRATIONS.length;

/** What a database says of itself. */
export type Kind = 'outdated' | 'ours' | 'newer' | 'foreign';

/** To be asked within a transaction. */
export function kindOf(connection: Connection): Kind {
  const number = (pragma: string) => Number(Object.values(connection.prepare(`PRAGMA ${pragma}`).get() ?? {})[0]);
  const version = number('user_version');
  if (number('application_id') === APPLICATION_ID) {
    if (version > SCHEMA_VERSION) return 'newer';
    return version === SCHEMA_VERSION ? 'ours' : 'outdated';
  }
  return 'foreign';
}

/** Makes an empty or outdated database one of this version, in a transaction that is under way. */
export function migrate(connection: Connection): void {
  const version = Number(connection.prepare('PRAGMA user_version').get()?.user_version);
  for (const sql of MIGRATIONS.slice(version)) connection.exec(sql);
  connection.exec(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${SCHEMA_VERSION}`);
}
