import { type Core, openCore } from '../../core/openCore.js';
import { warnOutdated } from './output.js';

/**
 * Opens the store in a directory, does the work, and closes the store whatever happened.
 *
 * When the work is done but the store's files could not be brought up to date, that is a warning and no failure:
 * whoever tried again would enqueue twice.
 */
export async function withCore<T>(dataDir: string, work: (core: Core) => Promise<T>): Promise<T> {
  const core = openCore(dataDir);
  let result: T;
  try {
    result = await work(core);
  } catch (error) {
    await core.close();
    throw error;
  }
  const failure = await core.close();
  if (failure !== undefined) warnOutdated(failure);
  return result;
}
