/**
 * The page: what the form asks for goes to a worker, and the pictures that come back to the canvas. The form's fields
 * may also stand in the address, as in `?n=4&steps=50&device=wasm`.
 */
const form = document.querySelector("form");
const canvas = document.querySelector("canvas");
const progress = document.querySelector("progress");
const [device, status] = ["device", "status"].map((id) => document.getElementById(id));
let worker, started;

for (const [name, value] of new URLSearchParams(location.search)) {
  if (form.elements[name]) form.elements[name].value = value;
}

/** Shows a picture of one channel. */
function show({ width, height, data }) {
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const pixels = new ImageData(width, height);
  data.forEach((v, i) => pixels.data.set([v, v, v, 255], 4 * i));
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

/** What the worker tells: its device, a picture after a number of steps, the end, or an error. */
function receive({ data: message }) {
  if (message.device) device.textContent = message.device;
  if (message.picture) {
    show(message.picture);
    Object.assign(progress, { value: message.step, max: message.steps });
    status.textContent = `step ${message.step} of ${message.steps}`;
  }
  if (message.error) status.textContent = message.error;
  if (message.done) {
    status.textContent = `drawn in ${((performance.now() - started) / 1000).toFixed(1)} s`;
  }
  if (message.done || message.error) document.body.dataset.state = message.error ? "failed" : "done";
}

function draw() {
  const { n, steps, seed, device: choice } = Object.fromEntries(new FormData(form));
  worker?.terminate(); // a drawing that is under way, and its device
  worker = new Worker("worker.js", { type: "module" });
  worker.onmessage = receive;
  worker.onerror = (event) => receive({ data: { error: `The worker failed: ${event.message}` } });
  document.body.dataset.state = "drawing";
  started = performance.now();
  worker.postMessage({ n: Number(n), steps: Number(steps), seed: Number(seed), choice });
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  draw();
});
draw();
