/** The tree served over loopback http, as a user imports it by URL. */

const ROOT = new URL("../", import.meta.url).pathname;

/** A server of the tree. */
export interface TreeServer extends AsyncDisposable {
  /** 127.0.0.1:PORT */
  readonly host: string;
  /** The paths that were asked for. */
  readonly served: Set<string>;
}

/**
 * Serves the tree until it is disposed of.
 * @param change gives another text for a module
 */
export function serveTree(change: (text: string) => string = (text) => text): TreeServer {
  const served = new Set<string>();
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, async (request) => {
    const { pathname } = new URL(request.url);
    served.add(pathname);
    if (pathname.endsWith(".safetensors")) return new Response(await Deno.readFile(ROOT + pathname));
    const text = await Deno.readTextFile(ROOT + pathname).catch(() => null);
    const type = pathname.endsWith(".js") ? "text/javascript" : "text/typescript";
    return new Response(text && change(text), {
      status: text === null ? 404 : 200,
      headers: { "content-type": type },
    });
  });
  return {
    host: `127.0.0.1:${server.addr.port}`,
    served,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}
