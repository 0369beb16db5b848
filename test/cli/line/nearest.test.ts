import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nearest } from '../../../cli/line/nearest.js';

test('a mistyped word finds what was meant', () => {
  const names = ['enqueue', 'worker-start', 'worker-stop', 'status', 'list', 'dlq-list'];
  const cases: [word: string, meant: string | undefined][] = [
    ['enque', 'enqueue'],
    ['enqueu', 'enqueue'],
    ['enqeueu', 'enqueue'],
    ['statsu', 'status'],
    ['lst', 'list'],
    ['dlqlist', 'dlq-list'],
    ['start', 'worker-start'],
    ['worker-stpo', 'worker-stop'],
    ['ls', undefined],
    ['top', undefined],
    ['stat', 'status'],
    ['art', undefined],
    ['frobnicate', undefined],
    ['', undefined],
  ];
  for (const [word, meant] of cases) assert.equal(nearest(word, names), meant, word);
});
