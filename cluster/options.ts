/**
 * The options of a relay's cluster.
 *
 * @module
 */

/** How a relay joins others to a cluster, over NATS. */
export interface ClusterOptions {
  /**
   * The NATS servers, one or several of one NATS cluster, such as `nats://10.0.0.1:4222`. With
   * `tls://`, the connection is encrypted. A user and a password, or a token, may be in the URL.
   */
  readonly servers: string | readonly string[];
  /**
   * The name of the cluster: 1 to 64 letters, digits, `-` and `_`. Relays with the same name on the
   * same NATS form a cluster.
   *
   * @default {"relays"}
   */
  readonly name?: string;
  /** The content of a NATS credentials file, with a JWT and a seed. */
  readonly credentials?: string;
  /**
   * Certificates of authorities to trust instead of the public ones, in PEM format. Needs a server
   * with `tls://`.
   */
  readonly ca?: string;
  /**
   * The certificate of this relay, in PEM format, if the servers ask for one. Needs a server with
   * `tls://`.
   */
  readonly cert?: string;
  /** The private key of the certificate, in PEM format. */
  readonly key?: string;
}
