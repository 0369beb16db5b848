/** One running worker process, or one supervisor of workers. */
export interface WorkerRecord {
  readonly id: string;
  readonly role: 'worker' | 'supervisor';
  readonly pid: number;
  /** As the operating system tells it; with `boot_id` it tells this process from a later one with the same pid. */
  readonly start_time: string;
  readonly boot_id: string;
  readonly started_at: number;
  readonly pid_namespace?: string;
  /** The supervisor that forked this worker; null for a supervisor. */
  readonly supervisor_id: string | null;
  /** When it was heard of last, in monotonic milliseconds; told of those elsewhere, and not in the file. */
  readonly heard_of_at?: number;
}
