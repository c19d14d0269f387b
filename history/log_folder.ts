/**
 * The folder of a log: what the log needs of a file system, and the one of Deno.
 *
 * @module
 */

/** A file of a log. */
export interface LogFile {
  /** The size, in bytes. */
  readonly size: number;
  /** Adds bytes at the end. */
  append(bytes: Uint8Array): Promise<void>;
  /** Reads at most `length` bytes from a position on; fewer at the end that `size` says. */
  read(position: number, length: number): Promise<Uint8Array<ArrayBuffer>>;
  /** Waits until all that was added is on the disk. */
  sync(): Promise<void>;
  /** Cuts the file to a size, on the disk, too. */
  truncate(size: number): Promise<void>;
  close(): void;
}

/** A folder of such files. */
export interface LogFolder {
  /** How messages name it. */
  readonly path: string;
  /**
   * Creates the folder if it is not there.
   *
   * @throws {Error} If it cannot be used. The message says why.
   */
  open(): Promise<void>;
  /**
   * Takes the folder for this relay alone.
   *
   * @throws {Error} If another relay has it, or it cannot be used. The message says why.
   */
  lock(): Promise<void>;
  /** Returns whether a relay has taken the folder. Neither takes it nor creates anything. */
  isInUse(): Promise<boolean>;
  /** Returns the names of the files, and of whatever else is there with a `/` after them. */
  list(): Promise<string[]>;
  /** Opens a file, to read it and add to it. */
  file(name: string): Promise<LogFile>;
  /**
   * Creates a file, or replaces it, with these bytes. It is on the disk then, under its name. Other
   * work is done between two parts. If it fails, it leaves no unfinished file.
   */
  create(
    name: string,
    parts: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  ): Promise<LogFile>;
  /** Removes a file, if it is there. */
  remove(name: string): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  /** Lets others have it. */
  close(): void;
}

/** The file whose lock takes the folder. */
export const LOCK = "lock";

/** A file that is being created has this after its name. */
export const UNFINISHED = ".tmp";

/** A file that cannot be read has this after its name. */
export const DAMAGED = ".damaged";

/**
 * Number of attempts to take the folder, and the time between two, in milliseconds. Who asks whether
 * it is in use shares its lock for a moment.
 */
const LOCK_ATTEMPTS = 5;
const LOCK_WAIT_MS = 20;

/** Bytes of a new file that wait for the disk together, so that none waits for all of them at its end. */
const SYNC_BYTES = 4_194_304;

/** Opens a file, or returns `null` if it is not there any more. */
export async function openIfThere(folder: LogFolder, name: string): Promise<LogFile | null> {
  try {
    return await folder.file(name);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

/** A folder of the file system. */
export class DiskFolder implements LogFolder {
  readonly path: string;
  readonly #isReadOnly: boolean;
  #lock: Deno.FsFile | null = null;

  /**
   * Creates the object, and nothing in the file system.
   *
   * @param isReadOnly Whether files are only read, so that the permission to read suffices.
   */
  constructor(path: string, isReadOnly = false) {
    this.path = path;
    this.#isReadOnly = isReadOnly;
  }

  async open(): Promise<void> {
    await this.#use(async () => {
      await Deno.mkdir(this.path, { recursive: true, mode: 0o700 });
      await this.list(); // which may be forbidden
    });
  }

  async lock(): Promise<void> {
    const options = { read: true, write: true, create: true, mode: 0o600 };
    const lock = await this.#use(() => Deno.open(this.#pathOf(LOCK), options));
    for (let i = 0; i < LOCK_ATTEMPTS; i++) {
      if (i > 0) await new Promise((resolve) => setTimeout(resolve, LOCK_WAIT_MS));
      if (!await lock.tryLock(true)) continue;
      this.#lock = lock;
      return;
    }
    lock.close();
    throw new Error(`Cannot keep the history in ${this.path}: another relay does so`);
  }

  async isInUse(): Promise<boolean> {
    try {
      using lock = await Deno.open(this.#pathOf(LOCK));
      return !await lock.tryLock();
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return false;
      throw error;
    }
  }

  async #use<T>(operation: () => Promise<T>): Promise<T> {
    try {
      return await operation();
    } catch (error) {
      if (error instanceof Deno.errors.NotCapable) throw error; // It says what to permit.
      const { AlreadyExists, NotADirectory } = Deno.errors;
      const isFile = error instanceof AlreadyExists || error instanceof NotADirectory;
      const why = isFile ? "it, or a part of its path, is no folder" : (error as Error).message;
      throw new Error(`Cannot keep the history in ${this.path}: ${why}`, { cause: error });
    }
  }

  async list(): Promise<string[]> {
    const entries = await Array.fromAsync(Deno.readDir(this.path));
    return entries.map(({ name, isFile }) => isFile ? name : `${name}/`);
  }

  async file(name: string): Promise<LogFile> {
    return await DiskFile.open(this.#pathOf(name), { read: true, write: !this.#isReadOnly });
  }

  async create(
    name: string,
    parts: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  ): Promise<LogFile> {
    const path = this.#pathOf(name);
    const isNew = { create: true, truncate: true, mode: 0o600 };
    const file = await DiskFile.open(path + UNFINISHED, { read: true, write: true, ...isNew });
    try {
      let synced = 0;
      for await (const part of parts) {
        await file.append(part);
        if (file.size - synced < SYNC_BYTES) continue;
        await file.sync();
        synced = file.size;
      }
      await file.sync();
      await Deno.rename(path + UNFINISHED, path);
      await this.#sync();
      return file;
    } catch (error) {
      file.close();
      await this.remove(name + UNFINISHED).catch(() => {}); // It may be what fills the disk.
      throw error;
    }
  }

  async remove(name: string): Promise<void> {
    try {
      await Deno.remove(this.#pathOf(name));
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }

  async rename(from: string, to: string): Promise<void> {
    await Deno.rename(this.#pathOf(from), this.#pathOf(to));
    await this.#sync();
  }

  close(): void {
    this.#lock?.close();
    this.#lock = null;
  }

  /** Waits until the names in the folder are on the disk. Windows does so by itself. */
  async #sync(): Promise<void> {
    if (Deno.build.os === "windows") return;
    using folder = await Deno.open(this.path);
    await folder.sync();
  }

  #pathOf(name: string): string {
    return `${this.path}/${name}`;
  }
}

class DiskFile implements LogFile {
  size: number;
  readonly #file: Deno.FsFile;
  /** Operations with a position must not overlap. */
  #last: Promise<unknown> = Promise.resolve();

  private constructor(file: Deno.FsFile, size: number) {
    this.#file = file;
    this.size = size;
  }

  static async open(path: string, options: Deno.OpenOptions): Promise<DiskFile> {
    const file = await Deno.open(path, options);
    // Unlike stat(), this needs no permission for the real path, which a link may lead to.
    return new DiskFile(file, await file.seek(0, Deno.SeekMode.End));
  }

  append(bytes: Uint8Array): Promise<void> {
    return this.#queue(async () => {
      await this.#file.seek(this.size, Deno.SeekMode.Start);
      for (let written = 0; written < bytes.length;) {
        written += await this.#file.write(bytes.subarray(written));
      }
      this.size += bytes.length;
    });
  }

  read(position: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
    return this.#queue(async () => {
      await this.#file.seek(position, Deno.SeekMode.Start);
      // A damaged length must not cost memory.
      const bytes = new Uint8Array(Math.max(0, Math.min(length, this.size - position)));
      let count = 0;
      while (count < bytes.length) {
        const more = await this.#file.read(bytes.subarray(count));
        if (more === null) break;
        count += more;
      }
      return bytes.subarray(0, count);
    });
  }

  #queue<T>(operation: () => Promise<T>): Promise<T> {
    const next = this.#last.then(operation);
    this.#last = next.catch(() => {});
    return next;
  }

  async sync(): Promise<void> {
    await this.#file.syncData();
  }

  async truncate(size: number): Promise<void> {
    await this.#file.truncate(size);
    await this.#file.sync();
    this.size = size;
  }

  close(): void {
    this.#file.close();
  }
}
