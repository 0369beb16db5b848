/**
 * Keeps the output of a command from filling the disk: what is beyond a limit is cut off, and a mark says so.
 *
 * The command goes on and does not notice. It appends to its log, so what it writes after a cut follows the mark until
 * the next look cuts that off, too.
 */
import fs from 'node:fs';
import { errnoCode } from '../../utils/errors.js';
import { openRegular } from '../../utils/files.js';

/** It is looked at so often. */
export const LOOK_EVERY_MS = 500;

/** What stands where an output was cut. */
export const cutMark = (maxBytes: number): string => `\n[queuectl: the output is cut here, after ${maxBytes} bytes]\n`;

export class OutputLimit {
  private readonly mark: Buffer;
  private isCut = false;
  /** The number of its inode: another file may get its name. */
  private ino: number | undefined;

  constructor(
    private readonly logFile: string,
    private readonly maxBytes: number,
  ) {
    this.mark = Buffer.from(cutMark(maxBytes));
  }

  /** Looks at the log, and cuts it if it has grown too long. A log that cannot be cut stays as it is. */
  enforce(): void {
    try {
      const stat = fs.statSync(this.logFile, { throwIfNoEntry: false });
      if (stat === undefined) return;
      this.ino ??= stat.ino;
      const kept = this.isCut ? this.maxBytes + this.mark.length : this.maxBytes;
      if (stat.ino === this.ino && stat.size > kept) this.cut(kept);
    } catch (error) {
      if (errnoCode(error) === undefined) throw error;
    }
  }

  private cut(kept: number): void {
    const fd = openRegular(this.logFile, fs.constants.O_RDWR | fs.constants.O_NOFOLLOW);
    try {
      fs.ftruncateSync(fd, kept);
      // Over whatever the command has appended meanwhile.
      if (!this.isCut) fs.writeSync(fd, this.mark, 0, this.mark.length, this.maxBytes);
      this.isCut = true;
    } finally {
      fs.closeSync(fd);
    }
  }
}
