/**
 * Owns what `--help` says.
 *
 * @module
 */

/** The options of the command, for people. */
export const HELP =
  `Relay events between programs: every event that one client sends reaches every client.

Usage: deno run -A jsr:@ebsockets/relay [options]

Where:
  --host HOST                   Address to listen on (default 127.0.0.1; 0.0.0.0 is every
                                IPv4 address of this machine, :: every address)
  --port PORT                   Port to listen on (default 7982; 0 picks a free one)
  --unix PATH                   Listen on a Unix socket instead, for this user alone

Who may connect:
  --token-file FILE             Only clients that say the token in this file. So does the
                                environment variable EBSOCKETS_TOKEN (which Deno shows only with
                                -A or --allow-env=EBSOCKETS_TOKEN)
  --token TOKEN                 The same, but others on this machine can see it
  --tls-cert FILE               Speak TLS with this certificate (PEM, with its chain)
  --tls-key FILE                Private key of the certificate (PEM)
  --tls-client-ca FILE          Only clients with a certificate from this authority (PEM)
  --max-clients N               Most clients at a time (default: no limit)
  --max-clients-per-address N   Most clients at a time from one address (default: no limit)

Limits:
  --max-line-bytes N            Longest line, in bytes (default 1048576)
  --max-pending-bytes N         Most that may wait for one client, in bytes; a client that
                                reads too slowly for that is closed (default 8388608)
  --max-total-pending-bytes N   Most that may wait for all clients together, and most that
                                lines without an end may hold, in bytes (default 536870912)
  --rate EVENTS                 Most events a second from one client (default: no limit)
  --rate-bytes BYTES            Most bytes a second from one client (default: no limit)
  --max-hold MS                 How long a client that takes nothing may hold up the
                                others (default 250)
  --keep-alive MS               Send something at least this often (default 25000)
  --write-timeout MS            Close a client that takes no byte for so long while some
                                wait for it (default 30000)
  --line-timeout MS             Close a client that does not finish a line for so long
                                (default 60000)
  --retry-after MS              When stopping, ask clients to stay away for so long
                                (default 0)

Output:
  --log text|json|quiet         How to log who joins and leaves (default text; quiet says
                                only where it listens)
  --stats SECONDS               Print figures so often, as a line of JSON. So does the
                                signal SIGUSR2, once

Other:
  --no-echo                     Do not send a client its own events
  -h, --help                    Show this help
  --version                     Show the version

A client is anything that writes lines of JSON to a TCP socket:
  nc 127.0.0.1 7982
  {"event":"message","__dict__":{"content":"hi"}}

Ctrl+C or SIGTERM sends what is queued, tells the clients, and ends, within 5 s. A
second one ends at once.

Least permissions: --allow-net=127.0.0.1:7982; --allow-read for files, --allow-env for
EBSOCKETS_TOKEN; for a Unix socket --allow-net, and --allow-read and --allow-write for
its folder.`;
