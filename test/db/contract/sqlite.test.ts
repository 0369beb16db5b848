import { test } from 'node:test';
import { sqliteMissing } from '../../helpers/sqliteTest.js';
import { describeContract } from './index.js';
import { sqliteKind } from './kinds.js';

if (sqliteMissing === false) describeContract(sqliteKind, 40);
else test('the contract of an SQLite store', { skip: sqliteMissing });
