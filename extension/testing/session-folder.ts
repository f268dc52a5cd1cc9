/** A server with the folder of a session, for the routes of "Files" in docs/protocol.md. */

import { crc32 } from 'node:zlib';

import type { IServer } from '../src/messages';
import { serve, type IAnswer, type IRequest } from './server';

/** Where its folder is. */
export const FOLDER = '/home/me/work';
const TOKEN = 'secret';

export interface ISessionFolder {
  server: IServer;
  /** By their names in the folder. */
  files: Map<string, Buffer>;
  /** Uploads that are under way, by their ids. */
  uploads: Map<string, Buffer>;
  requests: IRequest[];
  close(): void;
}

/** What is between the page and the server: it asks the server or not, and answers. */
type Between = (request: IRequest, ask: () => IAnswer) => IAnswer;

/** Serve a folder, as long as `serve` does. */
export async function serveFolder(between: Between = (_, ask) => ask()): Promise<ISessionFolder> {
  const files = new Map<string, Buffer>();
  const uploads = new Map<string, Buffer>();
  const answer = (request: IRequest): IAnswer => {
    if (request.headers.authorization !== `token ${TOKEN}`) {
      return refusal(401, 'This server does not take this token.');
    }
    const name = decodeURIComponent(String(request.headers['torch-file']));
    switch (`${request.method} ${request.path.replace('/kernel_proxy/api/v1/', '')}`) {
      case 'GET files':
        return list(files, name);
      case 'GET file':
        return get(request, files.get(name), name);
      case 'PUT file':
        return put(request, files, uploads, name);
      case 'DELETE file':
        uploads.delete(String(request.headers['torch-upload']));
        return { status: 204, body: new Uint8Array() };
      default:
        return refusal(404, 'There is nothing here.');
    }
  };
  const serving = await serve(request => between(request, () => answer(request)));
  const { url, requests, close } = serving;
  return { server: { url, token: TOKEN }, files, uploads, requests, close };
}

export function refusal(status: number, message: string): IAnswer {
  return { status, body: { message } };
}

function list(files: Map<string, Buffer>, folder: string): IAnswer {
  const start = folder ? `${folder}/` : '';
  const inside = [...files].filter(([name]) => name.startsWith(start));
  const entries = new Map<string, object>();
  for (const [path, { length: bytes }] of inside) {
    const [name = '', ...rest] = path.slice(start.length).split('/');
    entries.set(name, { name, folder: rest.length > 0, bytes, modified: 1_700_000_000 });
  }
  const where = folder ? `${FOLDER}/${folder}` : FOLDER;
  return { body: { folder: where, entries: [...entries.values()], more: false } };
}

function get({ headers }: IRequest, file: Buffer | undefined, name: string): IAnswer {
  if (!file) {
    return refusal(404, `There is no file ${name} in the session's folder.`);
  }
  const identity = String(crc32(file));
  if ((headers['torch-identity'] ?? identity) !== identity) {
    return refusal(409, `${name} was changed meanwhile.`);
  }
  const [start, last] = String(headers.range).match(/\d+/g)!.map(Number);
  const body = file.subarray(start, last! + 1);
  return {
    status: 206,
    body,
    headers: {
      'Content-Range': `bytes ${start}-${start! + body.length - 1}/${file.length}`,
      'Torch-Identity': identity,
      'Torch-Crc32': String(crc32(body))
    }
  };
}

function put(
  { headers, bytes }: IRequest,
  files: Map<string, Buffer>,
  uploads: Map<string, Buffer>,
  name: string
): IAnswer {
  const id = String(headers['torch-upload']);
  let there = uploads.get(id) ?? Buffer.alloc(0);
  if (Number(headers['torch-start']) === there.length) {
    if (crc32(bytes) === Number(headers['torch-crc32'])) {
      there = Buffer.concat([there, bytes]);
      uploads.set(id, there);
    }
  }
  const size = there.length;
  const complete = size === Number(headers['torch-total']);
  if (complete) {
    uploads.delete(id);
    files.set(name, there);
  }
  return { body: { size, complete } };
}
