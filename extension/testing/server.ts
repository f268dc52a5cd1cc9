/** A small HTTP server for the tests of what the page asks a server. */

import { createHash } from 'node:crypto';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after } from 'node:test';

export interface IAnswer {
  status?: number;
  /** Bytes as they are, anything else as JSON. */
  body?: unknown;
  headers?: Record<string, string>;
}

export interface IRequest {
  method: string;
  path: string;
  headers: IncomingHttpHeaders;
  body: string;
  bytes: Buffer;
}

export interface IServing {
  url: string;
  /** The requests that have come. */
  requests: IRequest[];
  close(): void;
}

/** What stands after the Sec-WebSocket-Key in what a server signs (RFC 6455). */
const MAGIC = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

/**
 * Serve until the tests of this file end, or until the test does in which it is called; not for a
 * hook, with whose end it would end. `sockets` tells whether a WebSocket can be opened.
 */
export async function serve(
  answer: (request: IRequest) => IAnswer,
  { sockets = true } = {}
): Promise<IServing> {
  const requests: IRequest[] = [];
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) {
      chunks.push(chunk);
    }
    const bytes = Buffer.concat(chunks);
    const { method = '', url = '', headers } = request;
    const arrived = { method, path: url, headers, body: bytes.toString(), bytes };
    requests.push(arrived);
    const answered = answer(arrived);
    response.writeHead(answered.status ?? 200, {
      'Content-Type': 'application/json',
      ...answered.headers
    });
    const { body = {} } = answered;
    response.end(body instanceof Uint8Array ? body : JSON.stringify(body));
  });
  server.on('upgrade', (request, socket) => {
    if (sockets) {
      const key = request.headers['sec-websocket-key'] + MAGIC;
      const accept = createHash('sha1').update(key).digest('base64');
      socket.write(
        'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
          `Sec-WebSocket-Accept: ${accept}\r\n\r\n`
      );
      // The page closes at once, and answers nothing that it is not asked.
      socket.on('data', () => socket.destroy());
    } else {
      socket.end('HTTP/1.1 404 Not Found\r\n\r\n');
    }
    socket.on('error', () => {});
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const close = () => {
    server.close();
    server.closeAllConnections();
  };
  after(close);
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests, close };
}
