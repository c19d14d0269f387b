/**
 * A bad cable, in user space, for kernels without `netem`: two TUN devices, and between them loss,
 * delay and, as every packet is delayed on its own, a changed order. Runs as root until it is
 * killed, which removes the devices.
 *
 * Arguments: the names of the two devices; delay, jitter in milliseconds and loss in percent.
 *
 * @module
 */

const O_RDWR = 0o2;
const O_NONBLOCK = 0o4000;
const TUNSETIFF = 0x400454ca;
/** Packets, with no header of the driver. */
const IFF_TUN_NO_PI = 0x1001;

/** How often packets are looked for, in milliseconds. */
const POLL_MS = 1;

const libc = Deno.dlopen("libc.so.6", {
  open: { parameters: ["buffer", "i32"], result: "i32" },
  ioctl: { parameters: ["i32", "u32", "buffer"], result: "i32" },
  read: { parameters: ["i32", "buffer", "usize"], result: "isize" },
  write: { parameters: ["i32", "buffer", "usize"], result: "isize" },
}).symbols;

/** Makes a TUN device; gives its file descriptor. */
function makeDevice(name: string): number {
  const fd = libc.open(new TextEncoder().encode("/dev/net/tun\0"), O_RDWR | O_NONBLOCK);
  if (fd < 0) throw new Error("Cannot open /dev/net/tun");
  const request = new Uint8Array(40);
  new TextEncoder().encodeInto(name, request);
  new DataView(request.buffer).setUint16(16, IFF_TUN_NO_PI, true);
  if (libc.ioctl(fd, TUNSETIFF, request) < 0) throw new Error(`Cannot make the device ${name}`);
  return fd;
}

const [near, far] = Deno.args.slice(0, 2).map(makeDevice) as [number, number];
const [delay, jitter, loss] = Deno.args.slice(2).map(Number) as [number, number, number];
const buffer = new Uint8Array(65_536);

/** Passes on what has come from one side, late or never. */
function pass(from: number, to: number): void {
  for (;;) {
    const length = Number(libc.read(from, buffer, BigInt(buffer.length)));
    if (length <= 0) return;
    if (Math.random() * 100 < loss) continue;
    const packet = buffer.slice(0, length);
    const late = delay + (2 * Math.random() - 1) * jitter;
    setTimeout(() => libc.write(to, packet, BigInt(packet.length)), late);
  }
}

setInterval(() => {
  pass(near, far);
  pass(far, near);
}, POLL_MS);
console.log("ready");
