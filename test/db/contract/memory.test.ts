import { describeContract } from './index.js';
import { memoryKind } from './kinds.js';

describeContract(memoryKind, 100);
