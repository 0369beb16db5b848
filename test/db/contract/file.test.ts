import { describeContract } from './index.js';
import { fileKind } from './kinds.js';

describeContract(fileKind, 40);
