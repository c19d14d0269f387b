/**
 * Owns the file of a Unix socket: makes it, with mode 0600 from its first moment on, replaces one
 * that a dead server has left behind, and removes it. Must not know what is accepted on it.
 *
 * @module
 */

/** How long a path may be for systems to connect to it, in bytes: `sun_path` less its last, a zero. */
const MAX_PATH_BYTES = Deno.build.os === "darwin" ? 103 : 107;

/**
 * How long whoever else is about to listen in the same folder is waited for, in milliseconds: several
 * of them, each of which may look for {@link PROBE_TIMEOUT}. How often is looked meanwhile.
 */
const LOCK_TIMEOUT = 20_000;
const LOCK_INTERVAL = 5;

/** A listener on a Unix socket, which owns its file. */
export class UnixListener {
  /** Where it listens. */
  readonly addr: Deno.UnixAddr;
  readonly #listener: Deno.UnixListener;
  /** Which file is ours: another server may have replaced it since. */
  readonly #inode: number | null;

  /**
   * Listens on `path`.
   *
   * Binding makes the file with the mode that the umask leaves, and whoever may write to it can
   * connect at once. So it is bound in a folder that only this user may enter, and moved from there
   * to `path`, which also replaces a file that nobody listens on. Between the look at that file and
   * the move, nobody else may do the same: the folder of `path` is locked, which the system undoes
   * should we be killed.
   *
   * @throws {RangeError} If the path is so long that nobody could connect, or that it cannot be bound.
   * @throws {Deno.errors.AddrInUse} If somebody listens there already.
   * @throws {Deno.errors.Busy} If the folder of `path` stays locked by another program for 20 s.
   * @throws {Deno.errors.NotFound} If the folder of `path` is not there.
   * @throws {Deno.errors.AlreadyExists} If there is a file that is no socket.
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

  /** Waits for the next connection. Its remote address is the path, since its peer has none. */
  async accept(): Promise<Deno.UnixConn> {
    const conn = await this.#listener.accept();
    return Object.defineProperty(conn, "remoteAddr", { value: this.addr });
  }

  /**
   * Removes the file, if it is still the one that was made, and stops listening. In this order, since
   * who listens is not replaced: a file that another has just put there is not removed.
   */
  close(): void {
    try {
      const { path } = this.addr;
      if (Deno.lstatSync(path).ino === this.#inode) Deno.removeSync(path);
    } catch {
      // It has been removed already, or may not be.
    }
    this.#listener.close();
  }
}

/** Throws if `path` is too long: bound elsewhere and moved there, it would work, for nobody. */
function checkLength(path: string): void {
  const { length } = new TextEncoder().encode(path);
  const bound = new TextEncoder().encode(`${folderNameOf(path, 0)}/${boundName()}`).length;
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
 * Locks the folder of `path`, until that is disposed of. Without a trace: a file for the lock would
 * stay, or would have to be removed under those who wait for it. Some network file systems cannot lock
 * a folder; there, of several that start in one moment, all but the last may listen in vain.
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

/** Whether a folder has been locked, or cannot be. */
function tryLock(folder: Deno.FsFile): boolean {
  try {
    return folder.tryLockSync(true);
  } catch {
    return true;
  }
}

/**
 * Makes a folder for this user alone (mode 0700) beside `path`. Its name is short, since the path of a
 * socket is: what a crash has left is passed over.
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

/** The names that such a folder may have, from 0. */
function folderNameOf(path: string, number: number): string {
  return `${folderOf(path)}.${number.toString(36)}`;
}

/**
 * A name for a socket in such a folder, three letters and digits. Deno removes, when it closes a
 * listener, what then has the path at which that was bound: so it must not be the same for each.
 */
function boundName(): string {
  const number = Math.floor(Math.random() * 36 ** 3);
  return number.toString(36).padStart(3, "0");
}

/** Throws if there is something at `path` that a new socket must not replace. */
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

/** How long somebody who may listen is waited for, in milliseconds. */
const PROBE_TIMEOUT = 2000;

/** Connects, and says whether the connection was refused. */
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
 * Whether somebody listens on a socket. Only connecting tells, which Deno can do only in the
 * background, while whoever makes a server wants to know at once: so a worker does it. In doubt
 * somebody does.
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
