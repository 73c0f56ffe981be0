"use strict";

const element = (id) => document.getElementById(id);
const network = JSON.parse(element("network").textContent);
const [CHANNELS, HEIGHT, WIDTH] = network.image;
const MOST_ROWS = 20; // with more classes, only the most probable ones are shown
const SHOWN = 10;

/* The network. Its memory image is made by web_page.py. */

const bytesOf = (id) => Uint8Array.from(atob(element(id).textContent), (letter) => letter.charCodeAt(0));

async function load() {
  const { base, pages, steps, order, count, arena, logits, pixels } = network.program;
  const memory = new WebAssembly.Memory({ initial: pages });
  const { instance } = await WebAssembly.instantiate(bytesOf("runtime"), { env: { memory } });
  new Uint8Array(memory.buffer).set(bytesOf("program"), base);
  return (image) => {
    new Uint8Array(memory.buffer).set(image, pixels);
    instance.exports.ir2_run(steps, order, count, arena, pixels);
    return new Float32Array(memory.buffer, logits, network.classes.length).slice();
  };
}

function softmax(logits) {
  const largest = Math.max(...logits);
  const powers = Array.from(logits, (logit) => Math.exp(logit - largest));
  const sum = powers.reduce((total, power) => total + power);
  return powers.map((power) => power / sum);
}

// Browsers round the clock, and compile a module better while it runs.
function millisecondsPerImage(run) {
  const pixels = new Uint8Array(CHANNELS * HEIGHT * WIDTH);
  let calls, milliseconds;
  for (const least of [60, 60]) {
    const start = performance.now();
    for (calls = 0, milliseconds = 0; milliseconds < least; ++calls) {
      run(pixels);
      milliseconds = performance.now() - start;
    }
  }
  return milliseconds / calls;
}

/* Images. { data, width, height } has red, green and blue, pixel by pixel. */

function pixelsOf(canvas) {
  const { width, height } = canvas;
  const rgba = canvas.getContext("2d").getImageData(0, 0, width, height).data;
  const data = new Uint8Array(3 * width * height);
  for (let from = 0, to = 0; to < data.length; from += 4)
    for (let channel = 0; channel < 3; ++channel)
      data[to++] = rgba[from + channel];
  return { data, width, height };
}

function newCanvas(width, height, colour) {
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = colour;
  context.fillRect(0, 0, width, height);
  return [canvas, context];
}

async function readImage(file) {
  const bitmap = await createImageBitmap(file, { colorSpaceConversion: "none" });
  const [canvas, context] = newCanvas(bitmap.width, bitmap.height, "white");
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return pixelsOf(canvas);
}

// The next three functions resize as Pillow's Image.resize with BILINEAR does (src/libImaging/
// Resample.c): a triangle as wide as the reduction, in fixed point, with rounding after each of two
// passes. New versions of Pillow resize some images down before across, so values can differ by 1.
const FRACTION = 2 ** 22;

function weights(start, end, length, size) {
  const scale = (end - start) / size;
  const reach = Math.max(scale, 1);
  return Array.from({ length: size }, (_, place) => {
    const centre = start + (place + 0.5) * scale;
    const first = Math.max(Math.trunc(centre - reach + 0.5), 0);
    const last = Math.min(Math.trunc(centre + reach + 0.5), length);
    const shares = [];
    for (let at = first; at < last; ++at)
      shares.push(Math.max(1 - Math.abs((at - centre + 0.5) * (1 / reach)), 0));
    const sum = shares.reduce((total, share) => total + share, 0);
    return { first, shares: shares.map((share) => Math.trunc((share / sum) * FRACTION + 0.5)) };
  });
}

// Resize the rows and transpose the image.
function resizedRows({ data, width, height }, columns) {
  const out = new Uint8Array(3 * columns.length * height);
  columns.forEach(({ first, shares }, column) => {
    for (let row = 0; row < height; ++row)
      for (let channel = 0; channel < 3; ++channel) {
        let sum = FRACTION / 2;
        let from = 3 * (row * width + first) + channel;
        for (const share of shares) {
          sum += data[from] * share;
          from += 3;
        }
        out[3 * (column * height + row) + channel] = Math.min(sum >> 22, 255);
      }
  });
  return { data: out, width: height, height: columns.length };
}

function resized(picture, width, height, left = 0, top = 0, right = picture.width, bottom = picture.height) {
  const across = resizedRows(picture, weights(left, right, picture.width, width));
  return resizedRows(across, weights(top, bottom, picture.height, height));
}

// The image that the network gets, as `ir2search predict` makes it.
function fitted(picture) {
  const { width, height } = picture;
  if (network.crop === "whole")
    return resized(picture, WIDTH, HEIGHT);
  const side = (224 / 256) * Math.min(width, height);
  const [left, top] = [(width - side) / 2, (height - side) / 2];
  return resized(picture, WIDTH, HEIGHT, left, top, left + side, top + side);
}

function inChannels({ data }) {
  if (CHANNELS === 3)
    return data;
  return Uint8Array.from({ length: data.length / 3 }, (_, at) => {
    const [red, green, blue] = data.subarray(3 * at, 3 * at + 3);
    return (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16; // Pillow's "L"
  });
}

/* What the page shows. */

function showInput(pixels, name) {
  const canvas = element("seen");
  Object.assign(canvas, { width: WIDTH, height: HEIGHT });
  const shown = new ImageData(WIDTH, HEIGHT);
  for (let at = 0; at < WIDTH * HEIGHT; ++at)
    for (let channel = 0; channel < 4; ++channel)
      shown.data[4 * at + channel] = channel === 3 ? 255 : pixels[at * CHANNELS + (channel % CHANNELS)];
  canvas.getContext("2d").putImageData(shown, 0, 0);
  element("name").textContent = name && `of ${name}`;
}

function newRow() {
  const row = element("classes").insertRow();
  const name = row.appendChild(document.createElement("th"));
  name.scope = "row";
  const bar = row.insertCell().appendChild(document.createElement("div"));
  return { row, name, bar, share: row.insertCell() };
}

const rows = [];

function showAnswer(logits) {
  const shares = softmax(logits);
  const best = [...shares.keys()].sort((one, other) => shares[other] - shares[one]);
  const listed = shares.length > MOST_ROWS ? best.slice(0, SHOWN) : [...shares.keys()];
  listed.forEach((label, place) => {
    const shown = (rows[place] ??= newRow());
    shown.row.className = label === best[0] ? "best" : "";
    shown.name.textContent = network.classes[label];
    shown.bar.style.width = `${100 * shares[label]}%`;
    shown.share.textContent = percent(shares[label]);
  });
  element("answer").textContent = `${network.classes[best[0]]} (${percent(shares[best[0]])})`;
}

const percent = (share) => `${(100 * share).toFixed(1)}%`;

function showNothing() {
  element("answer").textContent = network.drawing ? "Draw a digit, or choose an image." : "Choose an image.";
  element("result").hidden = true;
}

function showProblem(text) {
  element("problem").textContent = text;
  element("problem").hidden = text === "";
}

function classify(run, picture, name) {
  const pixels = inChannels(picture);
  const logits = run(pixels);
  showInput(pixels, name);
  showAnswer(logits);
  showProblem("");
  element("result").hidden = false;
  globalThis.lastResult = { pixels: [...pixels], logits: [...logits] }; // for scripts
  document.documentElement.dataset.answered = "yes";
}

/* Image files: chosen, dropped or pasted. */

function listenForFiles(run, forget) {
  const open = async (file) => {
    if (!file)
      return;
    try {
      const picture = await readImage(file);
      forget();
      classify(run, fitted(picture), file.name);
    } catch (error) {
      showProblem(`${file.name}: this browser cannot read it as an image (${error.message}).`);
    }
  };
  element("file").addEventListener("change", (event) => open(event.target.files[0]));
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    open(event.dataTransfer.files[0]);
  });
  document.addEventListener("paste", (event) => open(event.clipboardData.files[0]));
}

/* A drawn digit: strokes of points, from 0 to 1. It is moved, scaled and drawn like those of the
   training images: `Drawing` in web_page.py. */

const PEN = 0.07; // width of a stroke on the sheet
const STEP = 0.05; // of the pen, for an arrow key
const LEAST = 0.2; // smaller drawings are not made as large as a digit
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function drawStrokes(context, strokes, side, colour, pen, moved = (point) => point) {
  Object.assign(context, { strokeStyle: colour, lineWidth: pen * side, lineCap: "round", lineJoin: "round" });
  for (const stroke of strokes) {
    context.beginPath();
    for (const point of [stroke[0], ...stroke]) { // a single point is a line too
      const [x, y] = moved(point);
      context.lineTo(x * side, y * side);
    }
    context.stroke();
  }
}

function drawnImage(strokes) {
  const { side, extent, pen, dark } = network.drawing;
  const ends = [0, 1].map((axis) => {
    const values = strokes.flat().map((point) => point[axis]);
    return [Math.min(...values), Math.max(...values)];
  });
  const scale = (extent - pen) / Math.max(LEAST, ...ends.map(([low, high]) => high - low));
  const moved = (point) => point.map((value, axis) => 0.5 + scale * (value - (ends[axis][0] + ends[axis][1]) / 2));
  const [canvas, context] = newCanvas(side, side, dark ? "white" : "black");
  drawStrokes(context, strokes, side, dark ? "black" : "white", pen, moved);
  return resized(pixelsOf(canvas), WIDTH, HEIGHT);
}

function listenForStrokes(run) {
  const sheet = element("sheet");
  const context = sheet.getContext("2d");
  const pen = { place: [0.5, 0.5], down: false, shown: false };
  let strokes = [];
  let waiting = false;

  const draw = () => {
    waiting = false;
    const { color, backgroundColor } = getComputedStyle(sheet);
    context.fillStyle = backgroundColor;
    context.fillRect(0, 0, sheet.width, sheet.height);
    drawStrokes(context, strokes, sheet.width, color, PEN);
    if (pen.shown)
      drawPen();
    if (strokes.length > 0)
      classify(run, drawnImage(strokes), "");
  };
  const drawPen = () => {
    context.beginPath();
    context.arc(...pen.place.map((value) => value * sheet.width), 9, 0, 2 * Math.PI);
    context.lineWidth = pen.down ? 6 : 2;
    context.strokeStyle = getComputedStyle(sheet).outlineColor;
    context.stroke();
  };
  const change = () => {
    if (!waiting)
      requestAnimationFrame(draw);
    waiting = true;
  };
  const add = (point, first) => {
    if (first)
      strokes.push([]);
    strokes.at(-1).push(point);
    change();
  };
  const keep = (kept) => {
    strokes = kept;
    pen.down = false;
    if (strokes.length === 0)
      showNothing();
    change();
  };

  const pointOf = (event) => {
    const box = sheet.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  };
  sheet.addEventListener("pointerdown", (event) => {
    sheet.setPointerCapture(event.pointerId);
    Object.assign(pen, { down: false, shown: false });
    add(pointOf(event), true);
  });
  sheet.addEventListener("pointermove", (event) => {
    if (sheet.hasPointerCapture(event.pointerId))
      for (const each of event.getCoalescedEvents?.() ?? [event])
        add(pointOf(each), false);
  });
  sheet.addEventListener("keydown", (event) => {
    const arrow = ARROWS[event.key];
    if (!arrow && event.key !== " ")
      return;
    event.preventDefault();
    pen.shown = true;
    if (arrow)
      pen.place = pen.place.map((value, axis) => Math.min(Math.max(value + STEP * arrow[axis], 0), 1));
    else
      pen.down = !pen.down;
    if (pen.down)
      add(pen.place, !arrow);
    change();
  });
  element("undo").addEventListener("click", () => keep(strokes.slice(0, -1)));
  element("clear").addEventListener("click", () => keep([]));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", change);
  element("drawing").hidden = false;
  change();
  return () => keep([]);
}

/* Start. */

async function start() {
  const run = await load();
  const forget = network.drawing ? listenForStrokes(run) : () => {};
  listenForFiles(run, forget);
  showNothing();
  requestAnimationFrame(() => setTimeout(() => {
    element("time").textContent = `${Number(millisecondsPerImage(run).toPrecision(2))} ms for an image, in this browser`;
    document.documentElement.dataset.ready = "yes";
  }));
}

start().catch((error) => showProblem(`This browser cannot run the network: ${error.message}.`));
