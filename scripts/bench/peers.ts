/** From a file of commands to all of them done: queuectl, its start included, and its peers, two commands at a time. */
import { spawnSync } from 'node:child_process';
import { type Bench, isInstalled } from './bench.js';
import { BenchStore } from './benchStore.js';
import { count, type Figure, interleave, milliseconds, ratios } from './figure.js';

interface Peer {
  readonly name: string;
  readonly package: string;
  isInstalled(): boolean;
  /** Run by sh; the commands are on its stdin, and an empty directory is its own. */
  readonly script: string;
  /** Run by sh afterwards, not timed. */
  readonly end?: string;
}

const PEERS: readonly Peer[] = [
  {
    name: 'task-spooler',
    package: 'task-spooler',
    isInstalled: () => isInstalled('tsp'),
    // The last job needs both slots, so it runs when all others have ended, and -f waits for it.
    script: `export TS_SOCKET="$PWD/socket" TMPDIR="$PWD"
      tsp -S 2
      xargs -I{} tsp sh -c {} >ids
      tsp -N 2 -f true`,
    end: 'TS_SOCKET="$PWD/socket" tsp -K',
  },
  {
    name: 'nq',
    package: 'nq',
    isInstalled: () => isInstalled('nq'),
    // A queue of nq is a directory and runs one command at a time, so there are two of them.
    script: `queue() { export NQDIR="$PWD/$1"; xargs -I{} nq -q sh -c {}; nq -w; }
      cat >commands
      sed -n 'p;n' commands | queue a &
      sed -n 'n;p' commands | queue b &
      wait`,
  },
  {
    name: 'GNU parallel',
    package: 'parallel',
    isInstalled: () => spawnSync('parallel', ['--version'], { encoding: 'utf8' }).stdout?.startsWith('GNU') ?? false,
    script: 'PARALLEL_HOME="$PWD" parallel -j2',
  },
];

async function peerMs(bench: Bench, { script, end }: Peer, commands: string): Promise<number> {
  const cwd = bench.newDirectory();
  const { ms } = await bench.run('/bin/sh', ['-c', script], { cwd, stdin: commands });
  if (end !== undefined) await bench.run('/bin/sh', ['-c', end], { cwd });
  return ms;
}

/** The end is the last settle, as queue.json tells it. */
async function queuectlMs(bench: Bench, commands: string): Promise<number> {
  const store = new BenchStore(bench);
  const began = Date.now();
  await store.queuectl(['enqueue', '--file', commands]);
  const { lastSettle } = await store.drain(2);
  return lastSettle - began;
}

/** One figure for each peer, so that each is measured against a run of queuectl beside its own. */
export const peers: readonly Figure[] = PEERS.map((peer) => ({
  name: peer.package,
  obstacle: () =>
    peer.isInstalled() ? undefined : `${peer.name} is not installed (Debian: apt-get install ${peer.package})`,
  async measure(bench) {
    const jobs = bench.full ? 2000 : 1000;
    const commands = bench.fileOf(jobs, () => 'true');
    const { ours, theirs } = await interleave(bench.full ? 5 : 2, {
      ours: () => queuectlMs(bench, commands),
      theirs: () => peerMs(bench, peer, commands),
    });
    return [
      {
        what: `file of ${count(jobs)} × true to all done, 2 at a time`,
        against: peer.name,
        unit: '×',
        rounds: ratios(theirs, ours),
        target: { sign: '>', mustReach: 1 },
        detail: `${milliseconds(ours)} against ${milliseconds(theirs)}`,
      },
    ];
  },
}));
