// Draws a row of each class that is named with the model that ships: after
// `deno run --allow-read --allow-write=. --allow-env examples/draw.ts Sneaker Bag`, look at clothes.png.
import * as d from "../mod.ts";
const { diffusion, tf } = d;

await d.useDevice();
const { classes, denoise, size, range, inSteps } = await diffusion.pretrained();
const named = Deno.args.length ? Deno.args : classes, columns = 8;
const wrong = named.filter((name) => !classes.includes(name));
if (wrong.length) throw new Error(`There are ${classes.join(", ")}, not ${wrong.join(", ")}`);

const rows = named.flatMap((name) => new Array<number>(columns).fill(classes.indexOf(name)));
const labels = tf.tensor1d(rows, "int32");
const guided = diffusion.guided(denoise, labels, { scale: 2, none: classes.length });
const images = await diffusion.sample(guided, [rows.length, size, size, 1], inSteps());
const grid = d.imageGrid(images, { columns, scale: 3, range, invert: true });
await Deno.writeFile("clothes.png", d.encodePng(grid));
