/**
 * Reverse proxies of others in front of a relay: with TLS, and with the relay below a path.
 *
 * @module
 */

import type { Certificates } from "./certificates.ts";
import { TempFolder } from "./folder.ts";
import { freePort } from "./free_port.ts";
import { type Need, program } from "./needs.ts";
import { Program } from "./process.ts";
import { eventually } from "./waiting.ts";

/** What a proxy is to do. */
export interface ProxyOptions {
  /** Where the relay listens: a port of 127.0.0.1, or the path of a Unix socket. */
  readonly upstream: number | string;
  /** How long a connection may be silent, in seconds. */
  readonly timeout?: number;
  /** Whether the proxy asks for its own name of the relay, and not for that in the browser. */
  readonly hidesHost?: boolean;
}

/** A kind of proxy. */
export interface ProxyKind {
  readonly name: string;
  readonly needs: readonly Need[];
  /** Starts one with the certificate for `localhost`, and waits until it listens. */
  start(certificates: Certificates, options: ProxyOptions): Promise<Proxy>;
}

/** A running proxy. */
export class Proxy implements AsyncDisposable {
  /** Host and port, as a browser shows them. */
  readonly host: string;
  readonly #folder: TempFolder;
  readonly #program: Program;

  constructor(port: number, folder: TempFolder, program: Program) {
    this.host = `localhost:${port}`;
    this.#folder = folder;
    this.#program = program;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#program[Symbol.asyncDispose]();
    this.#folder[Symbol.dispose]();
  }
}

/** Writes the settings and the certificate to a folder, starts a proxy, and waits for it. */
async function start(
  { server }: Certificates,
  settings: (port: number, folder: string) => string,
  command: (file: string) => readonly [string, ...string[]],
): Promise<Proxy> {
  const folder = new TempFolder();
  const port = freePort();
  const file = `${folder.path}/settings`;
  await Deno.writeTextFile(`${folder.path}/server.pem`, `${server.cert}${server.key}`);
  await Deno.writeTextFile(file, settings(port, folder.path));
  const [name, ...args] = command(file);
  const proxy = new Proxy(port, folder, new Program(name, args));
  await eventually(async () => (await Deno.connect({ hostname: "127.0.0.1", port })).close());
  return proxy;
}

export const NGINX: ProxyKind = {
  name: "nginx",
  needs: [program("nginx", ["-v"])],
  start: (certificates, { upstream, timeout = 60, hidesHost = false }) =>
    start(certificates, (port, folder) => `
      # Without a master, ending the program ends all of it.
      master_process off;
      daemon off;
      pid ${folder}/pid;
      error_log stderr;
      events {}
      http {
        access_log off;
        client_body_temp_path ${folder}/body;
        proxy_temp_path ${folder}/proxy;
        fastcgi_temp_path ${folder}/fastcgi;
        uwsgi_temp_path ${folder}/uwsgi;
        scgi_temp_path ${folder}/scgi;
        map $http_upgrade $connection_upgrade {
          default upgrade;
          '' close;
        }
        server {
          listen 127.0.0.1:${port} ssl;
          ssl_certificate ${folder}/server.pem;
          ssl_certificate_key ${folder}/server.pem;
          location /relay/ {
            proxy_pass http://${
      typeof upstream === "number" ? `127.0.0.1:${upstream}` : `unix:${upstream}:`
    }/;
            proxy_http_version 1.1;
            proxy_set_header Host ${hidesHost ? "$proxy_host" : "$http_host"};
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            proxy_read_timeout ${timeout}s;
          }
        }
      }
    `, (file) => ["nginx", "-c", file, "-e", "stderr"]),
};

export const HAPROXY: ProxyKind = {
  name: "haproxy",
  needs: [program("haproxy", ["-v"])],
  start: (certificates, { upstream, timeout = 60, hidesHost = false }) =>
    start(certificates, (port, folder) => `
defaults
  mode http
  timeout connect 5s
  timeout client ${timeout}s
  timeout server ${timeout}s
  timeout tunnel ${timeout}s
frontend web
  bind 127.0.0.1:${port} ssl crt ${folder}/server.pem alpn h2,http/1.1
  option forwardfor
  ${hidesHost ? "http-request set-header Host 127.0.0.1" : ""}
  http-request replace-path /relay/(.*) /\\1
  default_backend relay
backend relay
  server relay ${typeof upstream === "number" ? `127.0.0.1:${upstream}` : `unix@${upstream}`}
`, (file) => ["haproxy", "-db", "-f", file]),
};
