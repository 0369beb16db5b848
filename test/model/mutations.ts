/** Each takes one safeguard of the protocol away; the explorer must find what breaks then. */
import { Journal } from '../../db/stores/file/journal.js';
import { type Lie, SIMULATED_DIR } from './replay.js';
import type { Stat } from './simulatedFs.js';

export interface Mutation {
  readonly lie?: Lie;
  /** Changes the code itself, for good. */
  readonly apply?: () => void;
}

const LOCK = `${SIMULATED_DIR}/lock/store`;

const keepsTemps: Lie = (call, perform) => {
  if (call.name !== 'readdir' || call.path !== SIMULATED_DIR) return undefined;
  const { value } = perform(call);
  const names = (value as string[]).filter((name) => !name.includes('.tmp'));
  return { key: names.join(' '), value: names };
};

const trustsLock: Lie = ({ name, path, how }, _perform, signature = 0) => {
  if (name !== 'stat' || path !== LOCK || how !== 'bigint') return undefined;
  const stat: Stat = { ino: 1, isDirectory: false, size: 0, mtime: signature, ctime: 0 };
  return { key: String(signature), value: stat };
};

type Method = (this: object, ...args: unknown[]) => unknown;

function replaceMethod(owner: object, name: string, replacement: (original: Method) => Method): () => void {
  const original: unknown = Reflect.get(owner, name);
  if (typeof original !== 'function') throw new Error(`there is no ${name}`);
  return () => Reflect.set(owner, name, replacement(original as Method));
}

export const MUTATIONS: Readonly<Record<string, Mutation>> = {
  'temporary files stay when the lock changes hands': { lie: keepsTemps },
  'a holder never looks whether the lock is still its own': { lie: trustsLock },
  'a fold does not seal the journal': {
    apply: replaceMethod(Journal.prototype, 'seal', () => () => 'alone'),
  },
  'a line counts whatever its number': {
    apply: replaceMethod(
      Journal.prototype,
      'readLine',
      (original) =>
        function (bytes, ...rest) {
          const { nextSeq } = this as Journal;
          const line = (bytes as Buffer).toString().replace(/"seq":\d+/, `"seq":${nextSeq}`);
          return original.call(this, Buffer.from(line), ...rest);
        },
    ),
  },
  'a commit is acknowledged wherever its line landed': {
    apply: replaceMethod(
      Journal.prototype,
      'appendLine',
      (original) =>
        function (...args) {
          const landing = original.apply(this, args);
          return landing === 'void' ? 'alone' : landing;
        },
    ),
  },
  'a commit is written though the journal is sealed': {
    apply: replaceMethod(
      Journal.prototype,
      'appendLine',
      (original) =>
        function (...args) {
          (this as Journal).sealed = false;
          return original.apply(this, args);
        },
    ),
  },
};
