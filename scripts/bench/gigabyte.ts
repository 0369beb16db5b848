/** A queue that is longer than the longest string of V8, twice over. */
import { join } from 'node:path';
import type { Bench } from './bench.js';
import { BenchStore } from './benchStore.js';
import { type Figure, milliseconds, type Row, ratios } from './figure.js';

const LINES_A_PART = 27_000;
/** 540 MB. */
const PARTS = 10;
const ROUNDS = 3;

/** The least that a program can do that looks at such records, a line each. */
const BARE_SCRIPT = `
  const fs = require('node:fs');
  const file = fs.openSync(process.argv[1], 'r');
  const chunk = Buffer.alloc(1 << 26);
  let [rest, records] = [0, 0];
  for (let read; (read = fs.readSync(file, chunk, rest, chunk.length - rest)) > 0; ) {
    const end = chunk.lastIndexOf(10, rest + read - 1) + 1;
    for (const line of chunk.toString('utf8', 0, end).split('\\n')) {
      if (line.length > 2) JSON.parse(line.replace(/,$/, '')) && records++;
    }
    chunk.copyWithin(0, end, rest + read);
    rest = rest + read - end;
  }
  console.log(records);`;

async function storeOfAGigabyte(bench: Bench): Promise<{ store: BenchStore; file: string; enqueueMs: number }> {
  const part = bench.fileOf(LINES_A_PART, (at) => `: ${at} ${'x'.repeat(2000)}`);
  const all = bench.newPath();
  const parts = Array(PARTS).fill(part).join(' ');
  await bench.run('/bin/sh', ['-c', `cat ${parts} > ${all}; rm ${part}`]);
  const store = new BenchStore(bench);
  let enqueueMs = 0;
  for (let time = 0; time < 2; time++) {
    enqueueMs += (await store.queuectl(['enqueue', '--delay', '1000000', '--file', all])).ms;
  }
  return { store, file: join(store.dataDir, 'queue.json'), enqueueMs };
}

export const gigabyte: Figure = {
  name: 'gigabyte',
  obstacle: ({ full }) => (full ? undefined : 'it takes minutes, and 4 GB of memory; add --full'),
  async measure(bench) {
    const { store, file, enqueueMs } = await storeOfAGigabyte(bench);
    const copy = bench.newPath();
    const taken = { enqueue: [] as number[], copy: [] as number[], status: [] as number[], bare: [] as number[] };
    for (let round = 0; round < ROUNDS; round++) {
      taken.enqueue.push((await store.queuectl(['enqueue', 'true', '--delay', '1000000'])).ms);
      taken.copy.push((await bench.run('dd', [`if=${file}`, `of=${copy}`, 'bs=1M', 'conv=fsync'])).ms);
      taken.status.push((await store.queuectl(['status'])).ms);
      taken.bare.push((await bench.run(process.execPath, ['-e', BARE_SCRIPT, file])).ms);
    }
    store.remove();
    const row = (what: string, against: string, own: number[], beside: number[], more = ''): Row => ({
      what: `1.2 GB of jobs: ${what}`,
      against,
      unit: '×',
      rounds: ratios(own, beside),
      detail: `${milliseconds(own)} against ${milliseconds(beside)}${more}`,
    });
    const filled = `; the ${PARTS * LINES_A_PART * 2} jobs were enqueued in ${milliseconds([enqueueMs])}`;
    return [
      row('enqueue one more, no worker there', 'dd, conv=fsync', taken.enqueue, taken.copy, filled),
      row('status', 'bare Node: read, parse line by line', taken.status, taken.bare),
    ];
  },
};
