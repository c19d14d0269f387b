import type { LogSink } from "../../history/log.ts";

/** Lets everything happen to a log. */
export const quietSink: LogSink = {
  onSynced() {},
  onSegment: () => Promise.resolve(),
  onReopen: () => Promise.resolve(),
  onFault() {},
  onBroken() {},
  onMended() {},
};
