/**
 * The page: what the form asks for goes to a worker, and the pictures that come back to the canvas. The form's fields
 * also stand in the address, as in `?class=Sneaker&guidance=2&steps=12&n=20&seed=3&device=wasm`.
 */
const form = document.querySelector("form");
const canvas = document.querySelector("canvas");
const progress = document.querySelector("progress");
const [device, status, caption] = ["device", "status", "caption"].map((id) => document.getElementById(id));
/** The worker, its device, and the number of the picture that is wanted; replies to earlier ones are left alone. */
let worker, workerDevice, id = 0;
/** When the picture was asked for, and when its first step could begin. */
let asked, begun;

for (const [name, value] of new URLSearchParams(location.search)) {
  if (form.elements[name]) form.elements[name].value = value;
}
if (!form.elements.class.value) form.elements.class.value = "all";

/** Shows a picture of one channel. */
function show({ width, height, data }) {
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const pixels = new ImageData(width, height);
  data.forEach((v, i) => pixels.data.set([v, v, v, 255], 4 * i));
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

const seconds = (ms) => `${(ms / 1000).toFixed(1)} s`;

/** The end of a drawing, for people and for tests. */
function end(state, text) {
  status.textContent = text;
  document.body.dataset.state = state;
}

/** What the worker tells: its device, a picture after a number of steps, the end, or an error. */
function receive({ data: message }) {
  if (message.id !== id) return;
  if (message.device) {
    device.textContent = message.device;
    begun = performance.now();
  }
  if (message.picture) {
    show(message.picture);
    progress.value = message.step;
  }
  if (message.done) {
    const start = begun - asked > 100 ? `, ${seconds(begun - asked)} of it to start` : "";
    end("done", `Drawn in ${seconds(performance.now() - asked)}${start}`);
  }
  if (message.error) {
    stopWorker();
    end("failed", message.error);
  }
}

function stopWorker() {
  worker?.terminate();
  worker = undefined;
}

/** The worker of a device. */
function workerOf(choice) {
  if (worker && workerDevice === choice) return worker;
  stopWorker();
  workerDevice = choice;
  worker = new Worker("worker.js", { type: "module" });
  worker.onmessage = receive;
  worker.onerror = ({ message = "worker.js could not be loaded" }) =>
    receive({ data: { id, error: `The worker failed: ${message}` } });
  return worker;
}

/** Says what the sliders stand at, and how the pictures lie. */
function tell() {
  for (const output of form.querySelectorAll("output")) output.value = form.elements[output.htmlFor].value;
  const { class: name } = form.elements;
  const all = name.value === "all";
  canvas.ariaLabel = all ? "Pictures of every class" : `Pictures of the class ${name.value}`;
  caption.textContent = all ? "A column for each class, in the order above." : name.value;
}

/** Asks for a picture as the form says; one that is under way ends. */
function draw() {
  tell();
  if (!form.reportValidity()) {
    const { labels: [label], validationMessage } = form.querySelector("input:invalid");
    return end("failed", `${label.textContent.trim()}: ${validationMessage}`);
  }
  const fields = Object.fromEntries(new FormData(form));
  history.replaceState(null, "", `?${new URLSearchParams(fields)}`);
  const [guidance, n, steps, seed] = ["guidance", "n", "steps", "seed"].map((name) => Number(fields[name]));
  Object.assign(progress, { value: 0, max: steps });
  document.body.dataset.state = "drawing";
  status.textContent = "Drawing…";
  asked = performance.now();
  const wanted = { id: ++id, class: fields.class, guidance, n, steps, seed, device: fields.device };
  workerOf(fields.device).postMessage(wanted);
}

form.addEventListener("input", tell);
form.addEventListener("change", draw);
form.addEventListener("submit", (event) => {
  event.preventDefault();
  form.elements.seed.value = crypto.getRandomValues(new Uint32Array(1))[0];
  draw();
});
draw();
