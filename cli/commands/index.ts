/** The table of commands. A row is all that is needed until its command runs: then its body is loaded. */
import { type Command, command, declare } from '../line/command.js';
import { FLAGS } from '../line/flags.js';

export const enqueue = declare({
  name: 'enqueue',
  words: ['[job...]'],
  summary: 'Add a job: a shell command, or a JSON object; - reads one job a line from stdin',
  flags: [FLAGS.id, FLAGS.maxRetries, FLAGS.delay, FLAGS.runAt, FLAGS.priority, FLAGS.timeout, FLAGS.file],
  examples: [
    [`enqueue 'tar czf /tmp/home.tgz ~'`, 'add a shell command'],
    [`enqueue -- grep -r 'two words' .`, 'add a program and its arguments, as they are; no shell reads them again'],
    [`enqueue '{"id":"job1","command":"echo hi"}'`, 'add a job in JSON'],
    [`enqueue 'sync.sh' --max-retries 5 --delay 60`, 'run it in a minute; retry it five times'],
    ['enqueue --file jobs.ndjson', 'add one job a line, all or none'],
  ],
  failure: 'nothing was added: an id is taken, or the queue cannot be written',
  table: 'fields',
});

export const workerStart = declare({
  name: 'worker-start',
  words: [],
  summary: 'Start worker processes, and return while they go on',
  flags: [FLAGS.count, FLAGS.concurrency, FLAGS.foreground],
  examples: [
    ['worker-start --count 4', 'start four workers'],
    ['worker-start --foreground', 'stay and show the jobs; Ctrl-C stops'],
  ],
  failure: 'no worker was started',
});

export const runWorkers = declare({
  name: 'run',
  words: [],
  summary: 'Work in the foreground: the same as worker-start --foreground',
  flags: [FLAGS.count, FLAGS.concurrency, FLAGS.foreground],
  examples: [['run', 'run the jobs and show them; Ctrl-C stops']],
  failure: 'no worker was started',
});

export const workerStop = declare({
  name: 'worker-stop',
  words: [],
  summary: 'Stop all workers once their current jobs have finished',
  flags: [FLAGS.now],
  examples: [
    ['worker-stop', 'wait for the current jobs'],
    ['worker-stop --now', 'end the running commands and give their jobs back'],
  ],
  failure: 'there may be workers left',
});

export const status = declare({
  name: 'status',
  words: [],
  summary: 'Count the workers and the jobs in each state',
  flags: [],
  examples: [['status --json | jq .pending', 'how many jobs wait']],
});

export const list = declare({
  name: 'list',
  words: [],
  summary: 'Print the jobs of the queue, oldest first, as a JSON array',
  flags: [FLAGS.state],
  examples: [
    ['list', 'every job but the dead ones'],
    ['list --state failed', 'the jobs that wait for a retry'],
    [`list | jq -r '.[].id'`, 'only the ids'],
  ],
});

export const logs = declare({
  name: 'logs',
  words: ['<id>'],
  summary: 'Print what a job has written to stdout and stderr',
  flags: [],
  examples: [
    ['logs job1', 'the output of every attempt so far'],
    ['logs job1 | tail -1', 'its last line'],
  ],
  failure: 'there is no such job, or it has not been run',
});

export const dlqList = declare({
  name: 'dlq-list',
  short: 'dlq',
  words: [],
  summary: 'Print the jobs of the dead letter queue as a JSON array',
  flags: [],
  examples: [[`dlq-list | jq -r '.[] | .id + ": " + .error'`, 'what went wrong with each']],
});

export const dlqRetry = declare({
  name: 'dlq-retry',
  words: ['<id>'],
  summary: 'Bring a job back from the dead letter queue, with no attempts counted',
  flags: [],
  examples: [['dlq-retry job1', 'run job1 again']],
  failure: 'it is not in the dead letter queue',
});

export const configGet = declare({
  name: 'config-get',
  short: 'config',
  words: ['[key]'],
  summary: 'Print a setting, or all of them',
  flags: [],
  examples: [
    ['config-get', 'every setting'],
    ['config-get max_retries', 'one setting'],
  ],
  table: 'settings',
});

export const configSet = declare({
  name: 'config-set',
  words: ['<key>', '<value>'],
  summary: 'Change a setting',
  flags: [],
  examples: [
    ['config-set max_retries 5', 'retries of jobs that do not say'],
    ['config-set backoff_base 3', 'retry after 3, 9, 27 ... seconds'],
  ],
  failure: 'nothing was changed',
  table: 'settings',
});

export const doctor = declare({
  name: 'doctor',
  words: [],
  summary: 'Check everything about the queue, a line each; repair it with --fix',
  flags: [FLAGS.fix],
  examples: [
    ['doctor', 'what is wrong, if anything'],
    ['doctor --fix', 'repair it, and keep a copy of what is replaced'],
  ],
  failure: 'something is wrong',
});

export const COMMANDS: readonly Command[] = [
  command(enqueue, () => import('./enqueue.js')),
  command(runWorkers, () => import('./run.js')),
  command(workerStart, () => import('./workerStart.js')),
  command(workerStop, () => import('./workerStop.js')),
  command(status, () => import('./status.js')),
  command(list, () => import('./list.js')),
  command(logs, () => import('./logs.js')),
  command(dlqList, () => import('./dlqList.js')),
  command(dlqRetry, () => import('./dlqRetry.js')),
  command(configGet, () => import('./configGet.js')),
  command(configSet, () => import('./configSet.js')),
  command(doctor, () => import('./doctor.js')),
];
