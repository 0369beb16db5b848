import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Heap } from '../../utils/heap.js';

test('an empty heap has no first item', () => {
  const heap = new Heap<number>((a, b) => a < b);
  assert.equal(heap.peek(), undefined);
  assert.equal(heap.pop(), undefined);
});

test('whatever is pushed and popped in between, the first item is at hand', () => {
  fc.assert(
    fc.property(fc.array(fc.option(fc.integer({ min: 0, max: 20 })), { size: 'large' }), (plan) => {
      const heap = new Heap<number>((a, b) => a < b);
      const sorted: number[] = [];
      for (const item of plan) {
        if (item === null) {
          assert.equal(heap.pop(), sorted.shift());
        } else {
          heap.push(item);
          sorted.push(item);
          sorted.sort((a, b) => a - b);
        }
        assert.equal(heap.peek(), sorted[0]);
      }
    }),
  );
});
