/**
 * A machine in memory: one file system, one clock and some processes. A machine is never changed: a call makes another.
 *
 * The file system does what POSIX says and no more: names and inodes, an append that lands in one piece at the end of the
 * file, an unlinked inode that lives on while somebody has it open. An inode knows no permissions.
 */

/** What a file holds; equal contents are one object. */
export interface Content {
  readonly id: number;
  readonly bytes: Buffer;
}

const contents = new Map<string, Content>();

export function contentOf(bytes: Buffer): Content {
  const text = bytes.toString('latin1');
  let content = contents.get(text);
  if (content === undefined) {
    content = { id: contents.size, bytes: Buffer.from(bytes) };
    contents.set(text, content);
  }
  return content;
}

const NOTHING = contentOf(Buffer.alloc(0));

interface Inode {
  /** Undefined for a directory. */
  readonly content: Content | undefined;
  /** Microseconds since the epoch. */
  readonly mtime: number;
  /** Milliseconds since the epoch; kept for locks only, whose age it is. */
  readonly ctime: number;
}

/** All files, by name and by inode. */
export class Files {
  private static readonly all = new Map<string, Files>();
  /** What has been found out about them, for those who ask again. */
  readonly notes = new Map<string, unknown>();
  private ownId = -1;

  constructor(
    readonly names: ReadonlyMap<string, number>,
    readonly inodes: ReadonlyMap<number, Inode>,
  ) {}

  /** The one object that stands for all that are equal to this. */
  get same(): Files {
    if (this.ownId !== -1) return this;
    const key = this.keyOf([...this.names.keys()]);
    const known = Files.all.get(key);
    if (known !== undefined) return known;
    this.ownId = Files.all.size;
    Files.all.set(key, this);
    return this;
  }

  /** Of the object that `same` returns. */
  get id(): number {
    return this.ownId;
  }

  /** The same of some files only. */
  keyOf(paths: readonly string[]): string {
    const parts: string[] = [];
    const seen = new Set<number>();
    for (const path of [...paths].sort()) {
      const ino = this.names.get(path);
      if (ino === undefined) continue;
      parts.push(`${path}=${ino}`);
      seen.add(ino);
    }
    for (const [ino, { content, mtime, ctime }] of this.inodes) {
      const isOrphan = paths.length === this.names.size && !seen.has(ino); // of an open file
      if (seen.has(ino) || isOrphan) parts.push(`${ino}:${content?.id},${mtime},${ctime}`);
    }
    return parts.sort().join(' ');
  }

  withContent(path: string, content: Content): Files {
    const ino = this.names.get(path) ?? -1;
    const inode = this.inodes.get(ino);
    if (inode === undefined) throw new Error(`there is no ${path}`);
    return new Files(this.names, new Map(this.inodes).set(ino, { ...inode, content }));
  }

  text(path: string): string | undefined {
    return this.inodes.get(this.names.get(path) ?? -1)?.content?.bytes.toString('utf8');
  }
}

/** What the machine keeps of a process. */
export interface Descriptors {
  /** Which inode each open file is. */
  readonly open: ReadonlyMap<number, number>;
  /** The number of the last inode it made that others may know: one whose name lasts. */
  readonly lastIno: number;
}

export const NO_DESCRIPTORS: Descriptors = { open: new Map(), lastIno: 0 };

/** A call to the system, as it is passed on. */
export interface Call {
  readonly name: string;
  readonly path?: string;
  /** The new name that `rename` and `link` give. */
  readonly to?: string;
  readonly fd?: number;
  /** How `open` opens: `w`, `a`, `r` …; what `kill` looks for; the time that `utimes` sets, in microseconds. */
  readonly how?: string | number;
  readonly from?: number;
  readonly length?: number;
  readonly content?: Content;
}

/** What a call returns, or the code of its error; `key` is equal for equal answers. */
export interface Answer {
  readonly key: string;
  readonly value?: unknown;
  readonly error?: string;
}

export interface Stat {
  readonly ino: number;
  readonly isDirectory: boolean;
  readonly size: number;
  readonly mtime: number;
  readonly ctime: number;
}

export const FIRST_FD = 1_000_000;
/** Inode numbers are made by each process by itself, so that it does not matter who was first. */
const INODES_EACH = 10_000;
const DONE: Answer = { key: '' };

const failed = (error: string): Answer => ({ key: error, error });

/** The system as one process sees it, while that makes a call. */
export class System {
  constructor(
    public files: Files,
    public descriptors: Descriptors,
    private readonly pid: number,
    private readonly now: number,
    private readonly isRunning: (pid: number) => boolean,
    private readonly isOpenElsewhere: (ino: number) => boolean,
  ) {}

  copy(): System {
    const { files, descriptors, pid, now, isRunning, isOpenElsewhere } = this;
    return new System(files, descriptors, pid, now, isRunning, isOpenElsewhere);
  }

  perform(call: Call): Answer {
    const { path = '', fd = 0 } = call;
    const ino = this.files.names.get(path);
    const inode = this.files.inodes.get(ino ?? this.descriptors.open.get(fd) ?? -1);
    switch (call.name) {
      case 'now':
      case 'uptime':
        return { key: String(this.now), value: this.now };
      case 'wait':
      case 'fsync':
        return DONE;
      case 'kill':
        return this.isRunning(Number(call.how)) ? DONE : failed('ESRCH');
      case 'open':
        return this.open(path, String(call.how), ino);
      case 'close':
        this.drop(fd);
        return DONE;
      case 'size':
        return number(inode?.content?.bytes.length ?? 0);
      case 'ino':
        return number(this.descriptors.open.get(fd) ?? -1);
      case 'mtime':
        return number(inode?.mtime ?? 0);
      case 'read':
        return this.read(inode?.content ?? NOTHING, call);
      case 'write':
        return this.write(fd, call.content ?? NOTHING);
      case 'realpath':
      case 'chmod':
        return inode === undefined ? failed('ENOENT') : DONE;
      case 'stat':
        return ino === undefined || inode === undefined ? failed('ENOENT') : statOf(ino, inode);
      case 'readdir':
        return inode === undefined ? failed('ENOENT') : this.list(path);
      case 'rename':
        if (ino === undefined) return failed('ENOENT');
        return this.rename(path, call.to ?? '', ino);
      case 'link':
        return this.link(call.to ?? '', ino);
      case 'unlink':
        return ino === undefined ? failed('ENOENT') : this.change({ [path]: undefined });
      case 'utimes':
        return ino === undefined ? failed('ENOENT') : this.touch(ino, Number(call.how));
      case 'mkdir':
        if (ino !== undefined) return failed('EEXIST');
        return this.hasParent(path) ? this.make(path, undefined) : failed('ENOENT');
      default:
        throw new Error(`the simulated file system has no ${call.name}`);
    }
  }

  private hasParent = (path: string) => this.files.names.has(path.slice(0, path.lastIndexOf('/')));

  private open(path: string, how: string, ino: number | undefined): Answer {
    let opened = ino;
    if (how === 'w' || how === 'wx' || how === 'a') {
      if (how === 'wx' && ino !== undefined) return failed('EEXIST');
      if (ino === undefined) {
        if (!this.hasParent(path)) return failed('ENOENT');
        opened = this.make(path, NOTHING).value as number;
      } else if (how === 'w') this.put(ino, NOTHING);
    }
    if (opened === undefined) return failed('ENOENT');
    const { open } = this.descriptors;
    let fd = FIRST_FD;
    while (open.has(fd)) fd += 1;
    this.descriptors = { ...this.descriptors, open: new Map(open).set(fd, opened) };
    return number(fd);
  }

  private drop(fd: number): void {
    const open = new Map(this.descriptors.open);
    open.delete(fd);
    this.descriptors = { ...this.descriptors, open };
    this.sweep();
  }

  private read({ bytes }: Content, { from = 0, length = Number.POSITIVE_INFINITY }: Call): Answer {
    const content = contentOf(bytes.subarray(from, Math.min(bytes.length, from + length)));
    return { key: `bytes ${content.id}`, value: content.bytes };
  }

  private write(fd: number, added: Content): Answer {
    const ino = this.descriptors.open.get(fd) ?? -1;
    const bytes = this.files.inodes.get(ino)?.content?.bytes ?? NOTHING.bytes;
    this.put(ino, contentOf(Buffer.concat([bytes, added.bytes])));
    return number(added.bytes.length);
  }

  private put(ino: number, content: Content): void {
    const inode = { content, mtime: this.now * 1000, ctime: 0 };
    this.files = new Files(this.files.names, new Map(this.files.inodes).set(ino, inode));
  }

  private rename(path: string, to: string, ino: number): Answer {
    const { lastIno } = this.descriptors;
    if (!isTemp(to)) this.descriptors = { ...this.descriptors, lastIno: Math.max(lastIno, ino) };
    return this.change({ [path]: undefined, [to]: ino });
  }

  private list(directory: string): Answer {
    const prefix = `${directory}/`;
    const names = [...this.files.names.keys()]
      .filter((path) => path.startsWith(prefix) && !path.includes('/', prefix.length))
      .map((path) => path.slice(prefix.length))
      .sort();
    return { key: names.join(' '), value: names };
  }

  private link(to: string, ino: number | undefined): Answer {
    if (this.files.names.has(to)) return failed('EEXIST');
    if (ino === undefined || !this.hasParent(to)) return failed('ENOENT');
    this.change({ [to]: ino });
    const inode = this.files.inodes.get(ino);
    return this.touch(ino, inode?.mtime ?? 0);
  }

  private touch(ino: number, mtime: number): Answer {
    const content = this.files.inodes.get(ino)?.content;
    const inode = { content, mtime, ctime: this.now };
    this.files = new Files(this.files.names, new Map(this.files.inodes).set(ino, inode));
    return DONE;
  }

  private make(path: string, content: Content | undefined): Answer {
    let ino = Math.max(this.descriptors.lastIno, (this.pid % INODES_EACH) * INODES_EACH) + 1;
    while (this.files.inodes.has(ino)) ino += 1;
    if (!isTemp(path)) this.descriptors = { ...this.descriptors, lastIno: ino };
    const inode = { content, mtime: content === undefined ? 0 : this.now * 1000, ctime: 0 };
    this.files = new Files(new Map(this.files.names).set(path, ino), new Map(this.files.inodes).set(ino, inode));
    return number(ino);
  }

  private change(changes: Readonly<Record<string, number | undefined>>): Answer {
    const names = new Map(this.files.names);
    for (const [path, ino] of Object.entries(changes)) {
      if (ino === undefined) names.delete(path);
      else names.set(path, ino);
    }
    this.files = new Files(names, this.files.inodes);
    this.sweep();
    return DONE;
  }

  /** Forgets inodes that have no name and are not open. */
  sweep(): void {
    const { names, inodes } = this.files;
    const used = new Set([...names.values(), ...this.descriptors.open.values()]);
    const unused = [...inodes.keys()].filter((ino) => !used.has(ino) && !this.isOpenElsewhere(ino));
    if (unused.length === 0) return;
    const kept = new Map(inodes);
    for (const ino of unused) kept.delete(ino);
    this.files = new Files(names, kept);
  }
}

const isTemp = (path: string) => path.includes('.tmp');

const number = (value: number): Answer => ({ key: String(value), value });

function statOf(ino: number, { content, mtime, ctime }: Inode): Answer {
  const stat: Stat = { ino, isDirectory: content === undefined, size: content?.bytes.length ?? 0, mtime, ctime };
  return { key: `${ino},${stat.size},${mtime},${ctime}`, value: stat };
}
