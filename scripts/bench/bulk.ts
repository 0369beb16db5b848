/** Many jobs from stdin, in one transaction. */
import { BenchStore } from './benchStore.js';
import { count, type Figure, interleave, milliseconds, ratios } from './figure.js';

/** The least that a program can do that reads such lines and keeps them. */
const BARE_SCRIPT = `
  const fs = require('node:fs');
  const lines = fs.readFileSync(0, 'utf8').split('\\n').filter((line) => line !== '');
  const text = lines.map((line) => JSON.stringify(JSON.parse(line))).join('\\n');
  const file = fs.openSync(process.argv[1], 'w');
  fs.writeFileSync(file, text);
  fs.fsyncSync(file);`;

export const bulk: Figure = {
  name: 'bulk',
  async measure(bench) {
    const lines = 100_000;
    const jobs = bench.fileOf(lines, (at) => `{"id":"job-${at}","command":"echo ${at}"}`);
    const { queuectl, bare } = await interleave(bench.full ? 15 : 5, {
      queuectl: async () => {
        const store = new BenchStore(bench);
        const { ms } = await store.queuectl(['enqueue', '-'], jobs);
        store.remove();
        return ms;
      },
      bare: async () => (await bench.run(process.execPath, ['-e', BARE_SCRIPT, bench.newPath()], { stdin: jobs })).ms,
    });
    return [
      {
        what: `enqueue ${count(lines)} lines from stdin`,
        against: 'bare Node: parse, stringify, write, fsync',
        unit: '×',
        rounds: ratios(queuectl, bare),
        target: { sign: '≤', mustReach: 2.5, aim: 1.5 },
        detail: `${milliseconds(queuectl)} against ${milliseconds(bare)}`,
      },
    ];
  },
};
