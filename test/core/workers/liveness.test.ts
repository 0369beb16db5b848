import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  isAlive,
  isSilent,
  leeway,
  mayLive,
  newRecord,
  type Whereabouts,
  whereabouts,
} from '../../../core/workers/liveness.js';
import type { SignOfLife, WorkerRecord } from '../../../db/model/worker.js';
import { monotonicMs } from '../../../utils/clock.js';
import type { Here, Place } from '../../../utils/processIdentity.js';
import { T0 } from '../../helpers/jobFactory.js';

const PLACE: Here = { boot_id: 'boot', host: 'host', pid_namespace: 'ns' };
const NO_NAMESPACE: Here = { boot_id: 'boot', host: 'host', pid_namespace: undefined };

describe('where a process is', () => {
  const cases: [what: string, record: Place, seenFrom: Here, where: Whereabouts][] = [
    ['the same of all', { boot_id: 'boot', host: 'host', pid_namespace: 'ns' }, PLACE, 'here'],
    ['no namespaces, as on macOS', { boot_id: 'boot', host: 'host' }, NO_NAMESPACE, 'here'],
    ['of version 0.1.0, in this namespace', { boot_id: 'boot', pid_namespace: 'ns' }, PLACE, 'here'],
    ['of a version that told no namespace', { boot_id: 'boot' }, PLACE, 'here'],
    ['another namespace', { boot_id: 'boot', host: 'host', pid_namespace: 'other' }, PLACE, 'container'],
    ['of version 0.1.0, in another namespace', { boot_id: 'boot', pid_namespace: 'other' }, PLACE, 'container'],
    ['a container with a name of its own', { boot_id: 'boot', host: 'x', pid_namespace: 'other' }, PLACE, 'container'],
    ['this namespace, though the host was renamed', { boot_id: 'boot', host: 'x', pid_namespace: 'ns' }, PLACE, 'here'],
    ['another boot of this host', { boot_id: 'earlier', host: 'host', pid_namespace: 'ns' }, PLACE, 'gone'],
    ['another boot, another namespace', { boot_id: 'earlier', host: 'host', pid_namespace: 'other' }, PLACE, 'gone'],
    ['another host', { boot_id: 'other', host: 'other', pid_namespace: 'ns' }, PLACE, 'host'],
    ['of version 0.1.0, in another boot of any host', { boot_id: 'other', pid_namespace: 'ns' }, PLACE, 'host'],
  ];
  for (const [what, record, seenFrom, where] of cases) {
    test(`${what}: ${where}`, () => assert.equal(whereabouts(record, seenFrom), where));
  }
});

describe('whether a process is silent', () => {
  const now: SignOfLife = { at: T0, monotonic: 100_000_000 };
  const cases: [where: 'container' | 'host', heard_of: SignOfLife | undefined, isSilent: boolean][] = [
    ['container', { at: 0, monotonic: now.monotonic - 59_999 }, false],
    ['container', { at: T0, monotonic: now.monotonic - 60_000 }, true],
    ['container', { at: T0, monotonic: now.monotonic + 60_000 }, true], // it is of another boot
    ['container', undefined, true],
    ['host', { at: T0 - 59_999, monotonic: 0 }, false],
    ['host', { at: T0 - 60_000, monotonic: now.monotonic }, true],
    ['host', { at: T0 + 3_600_000, monotonic: 0 }, false], // its clock is ahead
    ['host', undefined, true],
  ];
  for (const [where, heard_of, expected] of cases) {
    test(`in another ${where}, heard of ${JSON.stringify(heard_of)}: ${expected}`, () => {
      const record = { started_at: T0 - 100_000, ...(heard_of === undefined ? {} : { heard_of }) };
      assert.equal(isSilent(record, where, now), expected);
    });
  }
  test('who has only just started has not been silent', () => {
    assert.equal(isSilent({ started_at: T0 - 1000 }, 'host', now), false);
  });
});

describe('what a worker may do after its last sign of life', () => {
  const cases: [silentMs: number, killGraceMs: number, claims: boolean, graceMs?: number][] = [
    [0, 5000, true],
    [29_999, 5000, true],
    [30_000, 5000, false],
    [49_999, 5000, false],
    [50_000, 5000, false, 5000],
    [53_000, 5000, false, 2000], // it was late to notice
    [3_600_000, 5000, false, 0], // it was stopped for long: somebody else may run its jobs by now
    [54_999, 0, false],
    [55_000, 0, false, 0],
    [29_999, 3_600_000, true],
    [30_000, 3_600_000, false, 25_000],
  ];
  for (const [silentMs, killGraceMs, claims, graceMs] of cases) {
    const ends = graceMs === undefined ? 'ends nothing' : `ends its commands within ${graceMs} ms`;
    test(`silent for ${silentMs} ms, kill_grace ${killGraceMs} ms: ${claims ? 'claims' : 'claims nothing'}, ${ends}`, () => {
      assert.deepEqual(leeway(silentMs, killGraceMs), graceMs === undefined ? { claims } : { claims, graceMs });
    });
  }
  test('its commands have ended before others take it for dead, whatever its grace period is', () => {
    const now: SignOfLife = { at: T0, monotonic: 100_000_000 };
    for (const killGraceMs of [0, 5000, 40_000, 3_600_000]) {
      let silentMs = 0;
      while (leeway(silentMs, killGraceMs).graceMs === undefined) silentMs += 1000;
      const endedAfter = silentMs + (leeway(silentMs, killGraceMs).graceMs ?? 0);
      const heard_of = { at: now.at - endedAfter, monotonic: now.monotonic - endedAfter };
      for (const where of ['container', 'host'] as const)
        assert.equal(isSilent({ started_at: 0, heard_of }, where, now), false);
    }
  });
});

describe('who is alive', () => {
  const self = newRecord('worker', 's1', T0);
  const heard_of = { at: Date.now(), monotonic: monotonicMs() };
  const longAgo = { at: heard_of.at - 61_000, monotonic: heard_of.monotonic - 61_000 };
  const { host: _, ...nameless } = self;
  const cases: [what: string, record: WorkerRecord, alive: boolean][] = [
    ['this process', self, true],
    ['this process, silent', { ...self, heard_of: longAgo }, true],
    ['a later process with the same pid', { ...self, start_time: '1', heard_of }, false],
    ['another boot of this host, heard of just now', { ...self, boot_id: 'another', heard_of }, false],
    ['another boot of a host not known, heard of', { ...nameless, boot_id: 'another', heard_of }, true],
    ['another boot of a host not known, silent', { ...nameless, boot_id: 'another', heard_of: longAgo }, false],
    ['another host, heard of', { ...self, host: 'x', boot_id: 'another', heard_of }, true],
    ['another host, silent', { ...self, host: 'x', boot_id: 'another', heard_of: longAgo }, false],
    ['another container, heard of', { ...self, pid_namespace: 'x', heard_of }, true],
    ['another container, silent', { ...self, pid_namespace: 'x', heard_of: longAgo }, false],
  ];
  for (const [what, record, alive] of cases) test(`${what}: ${alive}`, () => assert.equal(isAlive(record), alive));

  test('of a record that cannot be read its id tells whether its process may live', () => {
    assert.equal(mayLive({ id: self.id }), true);
    assert.equal(mayLive({ id: `${2 ** 22 + 1}-0abc` }), false);
    assert.equal(mayLive({ id: 'w1' }), false);
  });
});
