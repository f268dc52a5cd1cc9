/** Addresses of servers. */

/**
 * The address in one spelling: http or https, no credentials, no query, no fragment and no slash
 * at its end. Null if the text is anything else than the address of a server.
 */
export function normalAddress(text: unknown): string | null {
  if (typeof text !== 'string') {
    return null;
  }
  let url: URL;
  try {
    url = new URL(text.trim());
  } catch {
    return null;
  }
  if (!['http:', 'https:'].includes(url.protocol) || url.username || url.password) {
    return null;
  }
  return url.origin + url.pathname.replace(/\/+$/, '');
}

/** The host and port, for a title. */
export function hostOf(address: string): string {
  return new URL(address).host;
}

/** The URL of a resource of the protocol. */
export function resourceUrl(address: string, resource: string): string {
  return `${address}/kernel_proxy/api/v1/${resource}`;
}
