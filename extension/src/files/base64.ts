/** Base64 of parts of a file. Browsers have methods for it since 2024 and 2025 only. */

interface IWithBase64 {
  toBase64?: () => string;
}
interface IFromBase64 {
  fromBase64?: (text: string) => Uint8Array<ArrayBuffer>;
}

/** Arguments of one call. */
const AT_ONCE = 2 ** 15;

export function toBase64(bytes: Uint8Array): string {
  const encode = (bytes as IWithBase64).toBase64;
  if (encode) {
    return encode.call(bytes);
  }
  let binary = '';
  for (let start = 0; start < bytes.length; start += AT_ONCE) {
    binary += String.fromCharCode(...bytes.subarray(start, start + AT_ONCE));
  }
  return btoa(binary);
}

export function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  const decode = (Uint8Array as IFromBase64).fromBase64;
  return decode ? decode(text) : Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
}
