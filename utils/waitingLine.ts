/**
 * Who is next, of many processes that wait for the same thing: the one that has waited longest.
 *
 * A file tells who is first. Its times are all that counts: it was read last when the first began to wait, and modified last at
 * a moment that stands for the first (the seconds are the pid, the rest is random). Its change time, which nobody can set, says
 * when the first was heard of last. Who has waited longer takes the place; so it is the right one's after each has looked once.
 * That two may take themselves for the first for a moment does no harm: they both try, as all did without this.
 */
import fs from 'node:fs';
import { errnoCode } from './errors.js';
import { openToAppend } from './files.js';

/** The first says so often that it still waits, … */
const SIGN_EVERY_MS = 500;
/** … and one that has not for so long is dead, or stopped. */
const SILENCE_MS = 3000;
/** As the time since when nobody waits: what comes before it takes the place. Seconds since the epoch. */
const NOBODY = 2 ** 31 - 1;

export class WaitingLine {
  private readonly ownerMicros = process.pid * 1e6 + Math.floor(Math.random() * 1e6);

  /**
   * @param path the file; its directory exists
   * @param since when this process began to wait; milliseconds since the epoch
   */
  constructor(
    private readonly path: string,
    private readonly since: number,
  ) {}

  /** Whether nobody else has waited for longer, as far as can be told. */
  isFirst(): boolean {
    try {
      const stat = fs.lstatSync(this.path, { throwIfNoEntry: false });
      if (stat === undefined) fs.closeSync(openToAppend(this.path));
      else {
        const silentMs = Math.abs(Date.now() - stat.ctimeMs); // the clock may have been set back
        if (this.isMine(stat)) {
          if (silentMs >= SIGN_EVERY_MS) this.sign(this.since / 1000);
          return true;
        }
        if (silentMs < SILENCE_MS && stat.atimeMs <= this.since) return false;
      }
      this.sign(this.since / 1000);
    } catch (error) {
      if (errnoCode(error) === undefined) throw error; // without the file, all try
    }
    return true;
  }

  /** Makes room for the next one, if this was the first. */
  leave(): void {
    try {
      const stat = fs.lstatSync(this.path, { throwIfNoEntry: false });
      if (stat !== undefined && this.isMine(stat)) this.sign(NOBODY);
    } catch (error) {
      if (errnoCode(error) === undefined) throw error;
    }
  }

  private sign(since: number): void {
    fs.lutimesSync(this.path, since, this.ownerMicros / 1e6);
  }

  private isMine({ mtimeMs }: fs.Stats): boolean {
    return Math.abs(mtimeMs * 1000 - this.ownerMicros) <= 1; // it was a float
  }
}
