/**
 * Owns the file of a Unix socket: makes it, with mode 0600 from its first moment on, replaces one
 * that a dead server has left behind, and removes it. Must not know what is accepted on it.
 *
 * @module
 */

/** How long a path may be for systems to connect to it, in bytes: `sun_path` less its last, a zero. */
const MAX_PATH_BYTES = Deno.build.os === "darwin" ? 103 : 107;

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
   * to `path`, which also replaces a file that nobody listens on.
   *
   * @throws {RangeError} If the path is so long that nobody could connect.
   * @throws {Deno.errors.AddrInUse} If somebody listens there already.
   * @throws {Deno.errors.NotFound} If the folder of `path` is not there.
   * @throws {Deno.errors.AlreadyExists} If there is a file that is no socket.
   * @throws {Deno.errors.NotCapable} Without permission to read and write in the folder of `path`.
   */
  constructor(path: string) {
    this.addr = { transport: "unix", path };
    checkLength(path);
    assertFree(path);
    const folder = makeFolder(path);
    try {
      const bound = `${folder}/s`;
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

  /** Stops listening, and removes the file, if it is still the one that was made. */
  close(): void {
    this.#listener.close();
    try {
      const { path } = this.addr;
      if (Deno.lstatSync(path).ino === this.#inode) Deno.removeSync(path);
    } catch {
      // It has been removed already, or may not be.
    }
  }
}

/** Throws if `path` is too long: bound elsewhere and moved there, it would work, for nobody. */
function checkLength(path: string): void {
  const { length } = new TextEncoder().encode(path);
  if (length <= MAX_PATH_BYTES) return;
  throw new RangeError(
    `Cannot listen on ${path}: its ${length} bytes exceed the ${MAX_PATH_BYTES} that a path of a ` +
      "socket may have",
  );
}

/** Makes a folder for this user alone (mode 0700) beside `path`. */
function makeFolder(path: string): string {
  const dir = folderOf(path);
  try {
    return Deno.makeTempDirSync({ dir, prefix: "." });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    const message = `Cannot listen on ${path}: there is no folder ${dir}`;
    throw new Deno.errors.NotFound(message, { cause: error });
  }
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
  return end < 0 ? "." : path.slice(0, end + 1);
}
