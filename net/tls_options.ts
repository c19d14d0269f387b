/**
 * The TLS settings of a client.
 *
 * @module
 */

/**
 * TLS settings of a client, in addition to Deno's defaults. All certificates and keys are PEM text.
 */
export interface TlsClientOptions {
  /**
   * Certificate authorities to trust instead of the public ones. With a private CA, no other
   * authority is trusted. Each string may contain several certificates.
   *
   * @default {the public certificate authorities}
   */
  readonly caCerts?: string | readonly string[];
  /**
   * The client's certificate, followed by its intermediate certificates, if the server asks for
   * one.
   */
  readonly cert?: string;
  /** The private key of `cert`, unencrypted. */
  readonly key?: string;
  /**
   * The name that the server's certificate must contain.
   *
   * @default {the host name of the address}
   */
  readonly hostname?: string;
}
