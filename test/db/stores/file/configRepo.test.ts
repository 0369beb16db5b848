import assert from 'node:assert/strict';
import fs from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { DEFAULT_CONFIG } from '../../../../db/model/settings.js';
import { tempStore } from '../../../helpers/tempStore.js';
import { fileStore } from '../../../helpers/testStore.js';

function newConfig(content?: string) {
  const dir = tempStore();
  const path = join(dir, 'config.json');
  if (content !== undefined) fs.writeFileSync(path, content);
  return { config: fileStore(dir).config, path };
}

test('the file has every setting, for eyes and for jq', async () => {
  const { config, path } = newConfig();
  await config.setConfig('backoff_base', 1.5);
  assert.equal(
    fs.readFileSync(path, 'utf8'),
    `{
  "max_retries": 3,
  "backoff_base": 1.5,
  "backoff_max": 86400,
  "backoff_jitter": 0,
  "job_timeout": 0,
  "kill_grace": 5,
  "log_max_bytes": 100000000,
  "worker_idle_delay": 2000
}
`,
  );
});

test('what a file does not say has its default', async () => {
  const { config } = newConfig('{"worker_idle_delay":50}');
  assert.deepEqual(await config.getAllConfig(), { ...DEFAULT_CONFIG, worker_idle_delay: 50 });
});

test('settings of a newer version survive', async () => {
  const { config, path } = newConfig('{"colour":"red","max_retries":1}');
  await config.setConfig('max_retries', 2);
  assert.deepEqual(JSON.parse(fs.readFileSync(path, 'utf8')), { ...DEFAULT_CONFIG, max_retries: 2, colour: 'red' });
});

test('older spellings are understood, and the present one counts if both are there', async () => {
  for (const name of ['max_retries_default', 'default_max_retries']) {
    const { config, path } = newConfig(`{"${name}":9}`);
    assert.equal(await config.getConfig('max_retries'), 9);
    await config.setConfig('backoff_base', 3);
    assert.deepEqual(JSON.parse(fs.readFileSync(path, 'utf8')), { ...DEFAULT_CONFIG, max_retries: 9, backoff_base: 3 });
  }
  for (const content of ['{"max_retries":1,"default_max_retries":9}', '{"default_max_retries":9,"max_retries":1}']) {
    assert.equal(await newConfig(content).config.getConfig('max_retries'), 1);
  }
});

test('an edit by hand counts from the next look on', async () => {
  const { config, path } = newConfig('{"max_retries":1}');
  assert.equal(await config.getConfig('max_retries'), 1);
  fs.writeFileSync(path, '{"max_retries":2}');
  assert.equal(await config.getConfig('max_retries'), 2);
  fs.rmSync(path);
  assert.equal(await config.getConfig('max_retries'), 3);
});
