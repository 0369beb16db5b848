import { test } from 'node:test';
import { sqliteMissing } from '../../helpers/sqliteTest.js';
import { describeContract } from './index.js';
import { KINDS } from './kinds.js';

if (sqliteMissing === false) describeContract(KINDS.sqlite, 40);
else test('the contract of an SQLite store', { skip: sqliteMissing });
