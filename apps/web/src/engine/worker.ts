/** The worker behind a page: takes calls, answers them. */
import type { Answered, CallName, Reply, Request } from "../client/protocol.ts";
import { firstLine } from "./message.ts";
import { Session } from "./session.ts";

const post = (reply: Reply, transfer: Transferable[] = []): void => globalThis.postMessage(reply, { transfer });

let session: Session;
const running = new Map<number, AbortController>();

async function answered(request: Exclude<Request, { abort: true }>, signal: AbortSignal): Promise<Answered<CallName>> {
  const { id } = request;
  switch (request.call) {
    case "open":
      session = new Session(request.what.backend, (device) => post({ device }));
      return session.open();
    case "read":
      return session.read(request.what.file, request.what.name, signal);
    case "diagnose":
      return session.diagnose(request.what.photo, signal);
    case "attention":
      return session.attention(request.what.photo, signal);
    case "enlarge": {
      const { photo, settings, preview } = request.what;
      return session.enlarge(photo, settings, {
        signal,
        onProgress: (...progress) => post({ id, progress }),
        onTile: preview ? (tile) => post({ id, tile }, [tile.bitmap]) : null,
      });
    }
    case "crop":
      return session.crop(request.what.result, request.what.part);
    case "encode":
      return session.encode(request.what.result, request.what.format, request.what.quality, signal);
    case "closePhoto":
      return session.closePhoto(request.what.photo);
    case "closeResult":
      return session.closeResult(request.what.result);
  }
}

globalThis.onmessage = async ({ data: request }: MessageEvent<Request>): Promise<void> => {
  const { id } = request;
  if ("abort" in request) {
    running.get(id)?.abort();
    return;
  }
  const stop = new AbortController();
  running.set(id, stop);
  try {
    const answer = await answered(request, stop.signal);
    post({ id, answer }, answer instanceof ImageBitmap ? [answer] : []);
  } catch (error) {
    const name = error instanceof Error || error instanceof DOMException ? error.name : "Error";
    post({ id, error: { name, message: firstLine(error) } });
  } finally {
    running.delete(id);
  }
};
