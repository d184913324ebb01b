/** Draws with the shipped model, off the page's own thread, and sends pictures as the noise goes. */
import { Generator, HostArray, imageGrid, pretrained, respace, sample, useDevice } from "./denoise.js";

/** Milliseconds between pictures, at least: reading one from a GPU makes it wait. */
const EVERY = 50;

/** Draws n images in so many steps, and tells how it goes. */
async function draw({ n, steps, seed, choice }) {
  const { name, detail, reason } = await useDevice(choice, { log: null });
  postMessage({ device: `${name} (${detail}): ${reason}` });
  const { model, schedule, size } = await pretrained();
  let last = -Infinity;
  await sample(model, [n, size, size, 1], {
    schedule: respace(schedule, steps),
    generator: new Generator(seed),
    keep: () => false,
    async onStep(t, x) {
      if (t > 0 && performance.now() - last < EVERY) return;
      const picture = imageGrid(await HostArray.from(x), { scale: 2, invert: true });
      postMessage({ picture, step: steps - t, steps });
      last = performance.now();
    },
  });
  postMessage({ done: true });
}

onmessage = ({ data }) => draw(data).catch((error) => postMessage({ error: String(error) }));
