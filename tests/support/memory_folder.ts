import type { LogFile, LogFolder } from "../../history/log_folder.ts";

/** A file in memory, of which some may not be on the disk yet. */
export class MemoryFile {
  bytes: Uint8Array = new Uint8Array(0);
  synced = 0;
}

/** A folder in memory whose disk can lose what was not synced, fail, or be slow. */
export class MemoryFolder implements LogFolder {
  readonly path = "memory";
  readonly files = new Map<string, MemoryFile>();
  isOpen = false;
  /** Bytes for which the disk has room. */
  capacity = Infinity;
  /** Returns why an operation fails, or `null`. */
  fault: (operation: "append" | "sync" | "create") => string | null = () => null;
  /** Called before each sync. */
  onSync: () => Promise<void> = () => Promise.resolve();
  /** Number of syncs. */
  syncs = 0;

  /** The size of all files, in bytes. */
  get bytes(): number {
    return this.files.values().reduce((sum, { bytes }) => sum + bytes.length, 0);
  }

  open(): Promise<void> {
    return Promise.resolve();
  }

  lock(): Promise<void> {
    this.isOpen = true;
    return Promise.resolve();
  }

  isInUse(): Promise<boolean> {
    return Promise.resolve(this.isOpen);
  }

  list(): Promise<string[]> {
    return Promise.resolve([...this.files.keys()]);
  }

  file(name: string): Promise<LogFile> {
    const file = this.files.get(name);
    if (!file) return Promise.reject(new Deno.errors.NotFound(name));
    return Promise.resolve(this.#handle(file));
  }

  async create(
    name: string,
    parts: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  ): Promise<LogFile> {
    this.#fail("create");
    const file = new MemoryFile();
    const handle = this.#handle(file);
    for await (const part of parts) await handle.append(part);
    await handle.sync();
    this.files.set(name, file);
    return handle;
  }

  rename(from: string, to: string): Promise<void> {
    this.files.set(to, this.files.get(from)!);
    this.files.delete(from);
    return Promise.resolve();
  }

  #fail(operation: "append" | "sync" | "create"): void {
    const fault = this.fault(operation);
    if (fault !== null) throw new Error(fault);
  }

  #handle(file: MemoryFile): LogFile {
    return {
      get size() {
        return file.bytes.length;
      },
      append: (bytes) => {
        const room = this.capacity - this.bytes;
        const fault = this.fault("append") ?? (bytes.length > room ? "no space" : null);
        // A disk that fills up takes a part.
        const part = fault === null ? bytes : bytes.subarray(0, Math.min(room, bytes.length / 2));
        const all = new Uint8Array(file.bytes.length + part.length);
        all.set(file.bytes);
        all.set(part, file.bytes.length);
        file.bytes = all;
        return fault === null ? Promise.resolve() : Promise.reject(new Error(fault));
      },
      read: (position, length) => Promise.resolve(file.bytes.slice(position, position + length)),
      sync: async () => {
        const size = file.bytes.length;
        await this.onSync();
        this.#fail("sync");
        this.syncs++;
        file.synced = size;
      },
      truncate: (size) => {
        file.bytes = file.bytes.slice(0, size);
        file.synced = size;
        return Promise.resolve();
      },
      close() {},
    };
  }

  remove(name: string): Promise<void> {
    this.files.delete(name);
    return Promise.resolve();
  }

  close(): void {
    this.isOpen = false;
  }

  /** Returns a folder with what is on the disk, and as much of the rest as `keeps` says. */
  crash(keeps: (unsynced: number) => number = () => 0): MemoryFolder {
    const folder = new MemoryFolder();
    for (const [name, { bytes, synced }] of this.files) {
      const file = new MemoryFile();
      file.synced = synced + keeps(bytes.length - synced);
      file.bytes = bytes.slice(0, file.synced);
      folder.files.set(name, file);
    }
    return folder;
  }
}
