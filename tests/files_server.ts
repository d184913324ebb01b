/** The files of a directory over loopback http. */

/** How a server is unlike others. */
export interface FilesServerOptions {
  /** Whether it gives parts of files; default true. */
  ranges?: boolean;
  /** Whether it says how much it sends; default true. */
  sizes?: boolean;
  /** Where its first answer with more bytes breaks off; default never. */
  breakAt?: number;
  /** What it answers to all; default what is right. */
  status?: number;
}

/** A server of files. */
export interface FilesServer extends AsyncDisposable {
  /** Its address, without a slash at the end. */
  readonly url: string;
  /** What it was asked for, such as `/a.txt`, `/a.txt 0-0` or `/a.txt 100-`. */
  readonly asked: string[];
}

/** Some bytes as the body of an answer, which breaks off where `at` says. */
export function bodyOf(bytes: Uint8Array, at?: number): ReadableStream {
  return new ReadableStream({
    async start(controller) {
      controller.enqueue(bytes.subarray(0, at));
      if (at === undefined) return controller.close();
      await new Promise((resolve) => setTimeout(resolve, 20)); // so that the part arrives before the end
      controller.error(new Error("broken off"));
    },
  });
}

/** Serves a directory until it is disposed of. */
export function serveFiles(dir: string, options: FilesServerOptions = {}): FilesServer {
  const { ranges = true, sizes = true, breakAt = Infinity, status } = options, asked: string[] = [];
  let broken = false;
  const onError = () => new Response();
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {}, onError }, async (request) => {
    const { pathname, search } = new URL(request.url), range = request.headers.get("range")?.slice(6);
    asked.push(`${pathname}${search}${range ? ` ${range}` : ""}`);
    if (status !== undefined) return new Response(null, { status, statusText: "Forbidden" });
    const bytes = await Deno.readFile(dir + decodeURIComponent(pathname)).catch(() => null);
    if (bytes === null) return new Response(null, { status: 404 });
    const [start, end] = ranges && range ? range.split("-").map(Number) : [0];
    const part = bytes.subarray(start, range?.endsWith("-") || end === undefined ? bytes.length : end + 1);
    const headers = new Headers({ etag: '"v1"' });
    if (sizes) headers.set("content-length", String(part.length));
    if (end !== undefined) {
      headers.set("content-range", `bytes ${start}-${start + part.length - 1}/${bytes.length}`);
    }
    const breaks = part.length > breakAt && !broken;
    broken ||= breaks;
    const body = bodyOf(part, breaks ? breakAt : undefined);
    return new Response(body, { status: end === undefined ? 200 : 206, headers });
  });
  return {
    url: `http://127.0.0.1:${server.addr.port}`,
    asked,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}
