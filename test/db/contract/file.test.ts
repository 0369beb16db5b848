import { describeContract } from './index.js';
import { KINDS } from './kinds.js';

describeContract(KINDS.file, 40);
