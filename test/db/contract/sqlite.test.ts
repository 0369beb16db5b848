import { describeContract } from './index.js';
import { sqliteKind } from './kinds.js';

describeContract(sqliteKind, 40);
