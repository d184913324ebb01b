/** Draws with the shipped model, off the page's own thread, and sends pictures as the noise goes. */
import {
  type DeviceChoice,
  Generator,
  HostArray,
  imageGrid,
  type Picture,
  pretrained,
  respace,
  sample,
  useDevice,
} from "../../mod.ts";

/** What the page asks for. */
interface Request {
  /** Images. */
  n: number;
  steps: number;
  seed: number;
  choice: DeviceChoice;
}

/** What the page is told. */
type Reply =
  | { device: string }
  | { picture: Picture; step: number; steps: number }
  | { done: true }
  | { error: string };

const page = self as unknown as {
  postMessage(reply: Reply): void;
  onmessage: (event: { data: Request }) => void;
};

/** Milliseconds between pictures, at least: reading one from a GPU makes it wait. */
const EVERY = 50;

/** Draws n images in so many steps, and tells how it goes. */
async function draw({ n, steps, seed, choice }: Request): Promise<void> {
  const { name, detail, reason } = await useDevice(choice, { log: null });
  page.postMessage({ device: `${name} (${detail}): ${reason}` });
  const { model, schedule, size } = await pretrained();
  let last = -Infinity;
  await sample(model, [n, size, size, 1], {
    schedule: respace(schedule, steps),
    generator: new Generator(seed),
    keep: () => false,
    async onStep(t, x) {
      if (t > 0 && performance.now() - last < EVERY) return;
      const picture = imageGrid(await HostArray.from(x), { scale: 2, invert: true });
      page.postMessage({ picture, step: steps - t, steps });
      last = performance.now();
    },
  });
  page.postMessage({ done: true });
}

page.onmessage = ({ data }) => draw(data).catch((error) => page.postMessage({ error: String(error) }));
