/** Draws with the shipped model of classes, off the page's own thread, and sends pictures as the noise goes. */
import {
  type DeviceChoice,
  diffusion,
  Generator,
  HostArray,
  imageGrid,
  type Picture,
  tf,
  useDevice,
} from "../../mod.ts";

/** What the page asks for. */
interface Request {
  /** Comes back with each reply. */
  id: number;
  /** Name of the class; "all" for all, a column each. */
  class: string;
  /** How far to go towards the class: 1 as it is, more for more of it. */
  guidance: number;
  /** Images. */
  n: number;
  steps: number;
  seed: number;
  /** Of a worker's first request; the others are drawn on the same device. */
  device: DeviceChoice;
}

/** What the page is told. */
type Reply =
  & { id: number }
  & ({ device: string } | { picture: Picture; step: number } | { done: true } | { error: string });

const page = self as unknown as {
  postMessage(reply: Reply): void;
  onmessage: (event: { data: Request }) => void;
};

/** Milliseconds between pictures, at least: reading one from a GPU makes it wait. */
const EVERY = 50;

/** Starts the device and loads the model. */
async function load(choice: DeviceChoice) {
  const { name, detail, reason } = await useDevice(choice, { log: null });
  return { device: `${name} (${detail}): ${reason}`, model: await diffusion.pretrained() };
}

let loaded: ReturnType<typeof load> | undefined;

/** Draws images, and tells how it goes; a signal ends it. */
async function draw(request: Request, signal: AbortSignal): Promise<void> {
  const { id, n, steps, seed, guidance } = request;
  const { device, model } = await (loaded ??= load(request.device));
  const { classes, denoise, size, range, inSteps } = model;
  page.postMessage({ id, device });
  const one = request.class === "all" ? undefined : classes.indexOf(request.class);
  const columns = one === undefined ? classes.length : Math.ceil(Math.sqrt(n));
  const labels = tf.tensor1d(Array.from({ length: n }, (_, i) => one ?? i % classes.length), "int32");
  let last = -Infinity;
  try {
    await diffusion.sample(
      diffusion.guided(denoise, labels, { scale: guidance, none: classes.length }),
      [n, size, size, 1],
      {
        ...inSteps(steps),
        generator: new Generator(seed),
        signal,
        async onStep({ i, x̂0 }) {
          if (i < steps - 1 && performance.now() - last < EVERY) return;
          const images = await HostArray.from(x̂0);
          const picture = imageGrid(images, { columns, scale: 2, range, invert: true });
          page.postMessage({ id, picture, step: i + 1 });
          last = performance.now();
        },
      },
    );
  } finally {
    labels.dispose();
  }
  page.postMessage({ id, done: true });
}

let drawing: AbortController | undefined;

page.onmessage = ({ data }) => {
  drawing?.abort(); // another picture is wanted
  const { signal } = drawing = new AbortController();
  draw(data, signal).catch((error) => {
    if (signal.aborted) return;
    loaded = undefined; // so that it can be tried again
    page.postMessage({ id: data.id, error: String(error) });
  });
};
