/** Where a directory lies: on a local disk, on a network, or in a folder that some program synchronises. */
import fs from 'node:fs';
import { dirname } from 'node:path';
import { errnoCode } from './errors.js';

/** File systems that several machines write to, by the numbers that statfs(2) lists. */
const SHARED_TYPES = new Map([
  [0x6969, 'NFS'],
  [0x517b, 'SMB'],
  [0xff534d42, 'CIFS'],
  [0xfe534d42, 'SMB'],
  [0x01021997, '9p'],
  [0x5346414f, 'AFS'],
  [0x6b414653, 'AFS'],
  [0x00c36400, 'Ceph'],
  [0x0bd00bd0, 'Lustre'],
  [0x01161970, 'GFS2'],
  [0x7461636f, 'OCFS2'],
  [0x19830326, 'BeeGFS'],
  [0x786f4256, 'VirtualBox shared folder'],
  [0xbacbacbc, 'VMware shared folder'],
]);
/** One number for all that runs outside the kernel; /proc/self/mountinfo tells which. */
const FUSE = 0x65735546;
const SHARED_FUSE = /^fuse\.(sshfs|rclone|s3fs|gcsfuse|goofys|davfs2?|gvfsd-fuse|glusterfs|ceph|juicefs|onedriver)$/;

/** What synchronising programs leave in the folder they look after. */
const MARKS: readonly (readonly [name: string, program: string])[] = [
  ['.stfolder', 'Syncthing'],
  ['.dropbox.cache', 'Dropbox'],
  ['.nextcloudsync.log', 'Nextcloud'],
  ['.owncloudsync.log', 'ownCloud'],
  ['.tmp.drivedownload', 'Google Drive'],
];
const SYNCED_PATH = /\/(OneDrive)[^/]*\/|\/Library\/(Mobile Documents|CloudStorage)\//;

/**
 * Why other machines may write to what is in a directory, as in `a network file system (NFS)`.
 *
 * @param dir absolute; need not be there yet
 * @returns undefined where nothing tells so
 */
export function findSharing(dir: string): string | undefined {
  const place = nearestDirectory(dir);
  const type = sharedType(place);
  if (type !== undefined) return `a network file system (${type})`;
  const program = synchroniser(place);
  return program === undefined ? undefined : `a folder that is synchronised (${program})`;
}

/** How many bytes this user can still write there; infinite where there is no limit, as in some file systems in memory. */
export function freeBytes(dir: string): number {
  const { bavail, blocks, bsize } = fs.statfsSync(dir);
  return blocks === 0 ? Number.POSITIVE_INFINITY : bavail * bsize;
}

function nearestDirectory(dir: string): string {
  for (let place = dir; ; place = dirname(place)) {
    try {
      return fs.realpathSync(place);
    } catch (error) {
      if (errnoCode(error) === undefined || place === dirname(place)) throw error;
    }
  }
}

function sharedType(place: string): string | undefined {
  if (process.platform !== 'linux') return undefined; // elsewhere the numbers mean other things
  const { type } = fs.statfsSync(place);
  if (type !== FUSE) return SHARED_TYPES.get(type >>> 0);
  const { dev } = fs.statSync(place);
  const device = `${(dev >> 8) & 0xfff}:${(dev & 0xff) | ((dev >> 12) & 0xfff00)}`; // makedev(3)
  const mount = fs
    .readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .find((line) => line.split(' ')[2] === device);
  const [kind = ''] = mount?.split(' - ')[1]?.split(' ') ?? [];
  return SHARED_FUSE.test(kind) ? kind : undefined;
}

function synchroniser(place: string): string | undefined {
  const byName = SYNCED_PATH.exec(`${place}/`);
  if (byName !== null) return byName[1] ?? byName[2];
  for (let folder = place; folder !== dirname(folder); folder = dirname(folder)) {
    for (const [name, program] of MARKS) if (fs.existsSync(`${folder}/${name}`)) return program;
  }
  return undefined;
}
