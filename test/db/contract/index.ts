/** What every kind of store must do, by topic. Nothing here knows how a store keeps its records. */
import { describeAdding } from './adding.js';
import { describeClaiming } from './claiming.js';
import { describeCompareAndSet } from './compareAndSet.js';
import { describeCost } from './cost.js';
import { describeDeadLetterQueue } from './deadLetterQueue.js';
import { describeHostileText } from './hostileText.js';
import type { StoreKind } from './kinds.js';
import { describeListing } from './listing.js';
import { describeProcesses } from './processes.js';
import { describeProperty } from './property.js';
import { describeSettings } from './settings.js';
import { describeSettling } from './settling.js';
import { describeSubscribing } from './subscribing.js';
import { describeTransactions } from './transactions.js';
import { describeUnknownFields } from './unknownFields.js';
import { describeWorkers } from './workers.js';

/** @param runs how many lists of random steps are played out on it */
export function describeContract(kind: StoreKind, runs: number): void {
  describeAdding(kind);
  describeClaiming(kind);
  describeSettling(kind);
  describeListing(kind);
  describeDeadLetterQueue(kind);
  describeTransactions(kind);
  describeCompareAndSet(kind);
  describeSettings(kind);
  describeWorkers(kind);
  describeSubscribing(kind);
  describeUnknownFields(kind);
  describeHostileText(kind);
  describeCost(kind);
  describeProperty(kind, runs);
  if (kind.makePlace().address !== undefined) describeProcesses(kind);
}
