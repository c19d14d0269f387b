/**
 * A listener on a Unix socket. It creates the socket file with mode 0600 from the first moment,
 * replaces a file left by a dead server, and removes the file at the end.
 *
 * @module
 */

import { byteLength } from "../protocol/utf8.ts";

/**
 * Longest path that systems can connect to, in bytes: the size of `sun_path` without its
 * terminating zero.
 */
const MAX_PATH_BYTES = Deno.build.os === "darwin" ? 103 : 107;

/**
 * Longest wait for other programs that are about to listen in the same folder, in milliseconds, and
 * the interval of checks. Each of several such programs may probe for {@link PROBE_TIMEOUT}.
 */
const LOCK_TIMEOUT = 20_000;
const LOCK_INTERVAL = 5;

/** A listener on a Unix socket. It owns the socket file. */
export class UnixListener {
  /** Address of the listener. */
  readonly addr: Deno.UnixAddr;
  readonly #listener: Deno.UnixListener;
  /** Identifies our file, since another server may have replaced it. */
  readonly #inode: number | null;

  /**
   * Listens on `path`.
   *
   * Binding creates the file with the mode left by the umask, and any user with write access could
   * connect at once. The socket is therefore bound in a folder that only this user may enter, and
   * then moved to `path`. The move also replaces a file that no server listens on. No other program
   * may do the same between the check of that file and the move. The folder of `path` is locked for
   * that time, and the system releases the lock if this process is killed.
   *
   * @param path The path of the socket.
   * @throws {RangeError} If the path is too long to connect to or to bind.
   * @throws {Deno.errors.AddrInUse} If another server already listens there.
   * @throws {Deno.errors.Busy} If another program keeps the folder of `path` locked for 20 s.
   * @throws {Deno.errors.NotFound} If the folder of `path` does not exist.
   * @throws {Deno.errors.AlreadyExists} If `path` is a file but not a socket.
   * @throws {Deno.errors.NotCapable} Without permission to read and write in the folder of `path`.
   */
  constructor(path: string) {
    this.addr = { transport: "unix", path };
    checkLength(path);
    using _lock = lockFolder(path);
    assertFree(path);
    const folder = makeFolder(path);
    try {
      const bound = `${folder}/${boundName()}`;
      this.#listener = Deno.listen({ transport: "unix", path: bound });
      try {
        Deno.chmodSync(bound, 0o600);
        this.#inode = Deno.lstatSync(bound).ino;
        Deno.renameSync(bound, path);
      } catch (error) {
        this.#listener.close();
        throw error;
      }
    } finally {
      Deno.removeSync(folder, { recursive: true });
    }
  }

  /** Resolves to the next connection. Its remote address is the path, since its peer has none. */
  async accept(): Promise<Deno.UnixConn> {
    const conn = await this.#listener.accept();
    return Object.defineProperty(conn, "remoteAddr", { value: this.addr });
  }

  /**
   * Removes the file if it is still ours, then stops listening. The order matters: a socket with a
   * listener is not replaced, so a file that another server has just created is never removed.
   */
  close(): void {
    try {
      const { path } = this.addr;
      if (Deno.lstatSync(path).ino === this.#inode) Deno.removeSync(path);
    } catch {
      // The file is already gone, or may not be removed.
    }
    this.#listener.close();
  }
}

/**
 * Throws if `path` is too long. Bound elsewhere and moved, such a socket would work, but no client
 * could connect.
 */
function checkLength(path: string): void {
  const length = byteLength(path);
  const bound = byteLength(`${folderNameOf(path, 0)}/${boundName()}`);
  if (Math.max(length, bound) <= MAX_PATH_BYTES) return;
  throw new RangeError(
    length > MAX_PATH_BYTES
      ? `Cannot listen on ${path}: its ${length} bytes exceed the ${MAX_PATH_BYTES} that a path ` +
        "of a socket may have"
      : `Cannot listen on ${path}: its folder leaves no room for a name of six bytes, as it is ` +
        `bound under another first, and ${MAX_PATH_BYTES} bytes are the most; take a shorter folder`,
  );
}

/**
 * Locks the folder of `path` until the result is disposed. The lock leaves no trace. A lock file
 * would either stay or be removed while others wait for it. Some network file systems cannot lock a
 * folder. If several servers start there at the same moment, all but the last may listen in vain.
 */
function lockFolder(path: string): Disposable {
  const dir = folderOf(path);
  let folder: Deno.FsFile;
  try {
    folder = Deno.openSync(dir);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    const message = `Cannot listen on ${path}: there is no folder ${dir}`;
    throw new Deno.errors.NotFound(message, { cause: error });
  }
  for (let waited = 0; !tryLock(folder); waited += LOCK_INTERVAL) {
    if (waited >= LOCK_TIMEOUT) {
      folder.close();
      throw new Deno.errors.Busy(
        `Cannot listen on ${path}: another program keeps the folder ${dir} locked`,
      );
    }
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, LOCK_INTERVAL);
  }
  return folder;
}

/** Returns whether the folder was locked or cannot be locked. */
function tryLock(folder: Deno.FsFile): boolean {
  try {
    return folder.tryLockSync(true);
  } catch {
    return true;
  }
}

/**
 * Creates a folder next to `path` that only this user may enter (mode 0700). Its name is short
 * because the path of a socket is limited. Folders left by a crash are skipped.
 */
function makeFolder(path: string): string {
  for (let i = 0;; i++) {
    const folder = folderNameOf(path, i);
    try {
      Deno.mkdirSync(folder, { mode: 0o700 });
      return folder;
    } catch (error) {
      if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    }
  }
}

/** Returns the name of such a folder by its number, from 0. */
function folderNameOf(path: string, number: number): string {
  return `${folderOf(path)}.${number.toString(36)}`;
}

/**
 * Returns a name of three letters and digits for a socket in such a folder. When Deno closes a
 * listener, it removes the file at the path where the socket was bound. So each socket needs a
 * different name.
 */
function boundName(): string {
  const number = Math.floor(Math.random() * 36 ** 3);
  return number.toString(36).padStart(3, "0");
}

/** Throws if `path` exists and must not be replaced by a new socket. */
function assertFree(path: string): void {
  let isSocket: boolean | null;
  try {
    isSocket = Deno.lstatSync(path).isSocket;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw error;
  }
  if (!isSocket) {
    throw new Deno.errors.AlreadyExists(`Cannot listen on ${path}: it is a file, and no socket`);
  }
  if (isListenedOn(path)) {
    throw new Deno.errors.AddrInUse(`Cannot listen on ${path}: another program listens there`);
  }
}

/** Longest wait for the answer of a possible listener, in milliseconds. */
const PROBE_TIMEOUT = 2000;

/** Connects and reports whether the connection was refused. */
const PROBE = `onmessage = async ({ data: { path, result } }) => {
  let refused = 0;
  try {
    (await Deno.connect({ transport: "unix", path })).close();
  } catch (error) {
    if (error instanceof Deno.errors.ConnectionRefused) refused = 1;
  }
  Atomics.store(result, 1, refused);
  Atomics.store(result, 0, 1);
  Atomics.notify(result, 0);
};`;

/**
 * Returns whether a server listens on a socket. Only a connection attempt can show this. Deno
 * connects only asynchronously, but the constructor needs the result at once, so a worker connects.
 * If in doubt, returns `true`.
 */
function isListenedOn(path: string): boolean {
  const result = new Int32Array(new SharedArrayBuffer(8));
  const worker = new Worker(`data:text/javascript,${encodeURIComponent(PROBE)}`, {
    type: "module",
  });
  try {
    worker.postMessage({ path, result });
    Atomics.wait(result, 0, 0, PROBE_TIMEOUT);
    return Atomics.load(result, 1) === 0;
  } finally {
    worker.terminate();
  }
}

function folderOf(path: string): string {
  const end = path.lastIndexOf("/");
  return end < 0 ? "../" : path.slice(0, end + 1);
}
