"use strict";
// Draws the values in `view` and computes none of its own. Names and reasons may contain markup:
// they are set as textContent, or pass through escaped() because plotly.js shows links and tags.

const view = JSON.parse(document.getElementById("view").textContent);
const byId = (id) => document.getElementById(id);
const CONFIG = { displayModeBar: false, responsive: true };
const FLAT_LEGEND = { orientation: "h", itemclick: false, itemdoubleclick: false };
const MAX_NAMED = 12; // networks of a larger front have no names in the plots
const MAX_SVG_POINTS = 10000; // WebGL draws more, but is slow to start without a graphics card
const MAX_LINES = 1000; // candidates in the parallel coordinates, in addition to the front
const PREFIXES = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]];
const COLOURS = ["text", "back", "soft", "line", "front", "knee", "dimmed", "panel"];
const OF_TRIALS = [0, 1, 2, 3, 4, 5].map((at) => `trial-${at}`);
const DASHES = ["solid", "dash", "dashdot", "dot"];
const ENTITIES = { "&": "&amp;", "<": "&lt;", ">": "&gt;" };

const escaped = (text) => String(text).replace(/[&<>]/g, (c) => ENTITIES[c]);
const isShare = (column) => column.endsWith("accuracy");
const labelOf = (column) => view.axes.find((axis) => axis.column === column).label;

function formatted(column, value) {
  if (value === null || value === undefined) return "-";
  if (isShare(column)) return (100 * value).toFixed(1) + "%";
  for (const [factor, prefix] of PREFIXES) {
    if (value >= factor) return (value / factor).toPrecision(3) + " " + prefix;
  }
  return String(Math.abs(value) < 1 ? Number(value.toPrecision(3)) : Math.round(100 * value) / 100);
}

function colours() {
  const style = getComputedStyle(document.documentElement);
  const value = (name) => style.getPropertyValue("--" + name).trim();
  return Object.fromEntries([...COLOURS, ...OF_TRIALS].map((name) => [name, value(name)]));
}

// a network of the front has one colour in all plots
function lookOf(number) {
  const at = Math.max(0, view.members.indexOf(Number(number)));
  const round = Math.floor(at / OF_TRIALS.length) % DASHES.length;
  return { color: colours()[ownVariable(number)], dash: DASHES[round] };
}

function ownVariable(number) {
  const at = view.members.indexOf(Number(number));
  return at < 0 ? "dimmed" : OF_TRIALS[at % OF_TRIALS.length];
}

const isMember = (number) => view.members.includes(Number(number));

function axis(column, title, isLog, values) {
  const c = colours();
  const base = {
    title: { text: escaped(title), font: { size: 13 } }, type: isLog ? "log" : "linear",
    automargin: true, zeroline: false, gridcolor: c.line, griddash: "1px,5px", gridwidth: 1,
    ticks: "outside", tickcolor: c.line, ticklen: 4, showline: true, linecolor: c.line,
  };
  if (column && isShare(column)) return { ...base, tickformat: ".3~%" };
  return isLog ? { ...base, ...roundTicks(values) } : { ...base, exponentformat: "SI" };
}

// at most nine round numbers on a logarithmic axis, such as 20 k, 50 k, 100 k
function roundTicks(values) {
  const positive = values.filter((value) => value > 0);
  const low = 0.7 * positive.reduce((a, b) => Math.min(a, b), Infinity);
  const high = 1.4 * positive.reduce((a, b) => Math.max(a, b), 0);
  const text = (tick) => formatted("", tick).replace(/\.0+(?= |$)|(?<=\.\d)0+(?= |$)/, "");
  for (const steps of [[1, 1.5, 2, 3, 5, 7], [1, 2, 5], [1, 3], [1]]) {
    const powers = Array.from({ length: 20 }, (_, at) => 10 ** (at - 4));
    const numbers = powers.flatMap((power) => steps.map((step) => step * power));
    const ticks = numbers.filter((tick) => tick >= low && tick <= high);
    if (ticks.length <= 9 || steps.length === 1) {
      return { tickmode: "array", tickvals: ticks, ticktext: ticks.map(text) };
    }
  }
}

function layout(xaxis, yaxis, more) {
  const c = colours();
  return {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: c.text, size: 12, family: getComputedStyle(document.body).fontFamily },
    margin: { l: 60, r: 15, t: 12, b: 45 }, hovermode: "closest",
    xaxis: { showgrid: false, ...xaxis }, yaxis: { ...yaxis, showline: false, ticks: "" },
    showlegend: Boolean(view.fronts), legend: { ...FLAT_LEGEND, y: -0.22 },
    hoverlabel: {
      bgcolor: c.panel, bordercolor: c.soft, font: { color: c.text }, align: "left",
    },
    ...more,
  };
}

function dottedLine(x) {
  const line = { color: colours().soft, dash: "dot", width: 1 };
  return { type: "line", x0: x, x1: x, yref: "paper", y0: 0, y1: 1, line };
}

// the front

function trainedRows(keep) {
  const all = view.trials.number.map((_, row) => row);
  return all.filter((row) => view.trials.state[row] === "trained" && keep(row));
}

function hoverText(row) {
  const trials = view.trials;
  const values = view.axes
    .filter((each) => trials[each.column][row] !== null)
    .map(({ column, label }) => {
      return `${escaped(label)} ${formatted(column, trials[column][row])}${interval(column, row)}`;
    });
  const how = trials.how ? `, ${trials.how[row]}` : "";
  const head = [`<b>trial ${trials.number[row]}</b>${how}`, escaped(trials.name[row])];
  return [...head, ...values].join("<br>");
}

function markers(name, keep, column, marker, type) {
  const x = view.trials[column.x], y = view.trials[column.y];
  const kept = trainedRows((row) => keep(row) && x[row] !== null && y[row] !== null);
  return {
    name, type: type || "scatter", mode: "markers", marker, hoverinfo: "text", cliponaxis: false,
    x: kept.map((row) => x[row]), y: kept.map((row) => y[row]),
    customdata: kept.map((row) => view.trials.number[row]), hovertext: kept.map(hoverText),
  };
}

function selectedColumns() {
  return { x: byId("front-x").value, y: byId("front-y").value };
}

// with two objectives, the line below which the front dominates
function staircase(column) {
  const objectives = new Set(view.objectives);
  const isShown = objectives.size === 2 && objectives.has(column.x) && column.y === "accuracy";
  if (!isShown) return [];
  const x = view.trials[column.x], y = view.trials[column.y];
  const kept = trainedRows((row) => view.trials.on_front[row]).sort((a, b) => x[a] - x[b]);
  return [{
    type: "scatter", mode: "lines", line: { shape: "hv", color: colours().dimmed, width: 1 },
    hoverinfo: "skip",
    x: kept.map((row) => x[row]), y: kept.map((row) => y[row]),
  }];
}

// the 95% intervals of the accuracy on an axis, as bars
function withIntervals(trace, accuracy, color) {
  const known = view.intervals[accuracy] || {};
  const ends = trace.customdata.map((number, at) => known[number] || [trace.y[at], trace.y[at]]);
  const array = ends.map(([, high], at) => high - trace.y[at]);
  const arrayminus = ends.map(([low], at) => trace.y[at] - low);
  const bars = { type: "data", symmetric: false, array, arrayminus, color, thickness: 1, width: 3 };
  return { ...trace, error_y: bars };
}

// each network of the front in its colour, with its number
function inOwnColours(trace) {
  const color = trace.customdata.map((number) => lookOf(number).color);
  const named = trace.customdata.length > MAX_NAMED ? {} : {
    mode: "markers+text", text: freeNumbers(trace), textposition: "top left",
    textfont: { color, size: 12 },
  };
  return { ...trace, ...named, marker: { ...trace.marker, color } };
}

// the number of each network, or nothing where it would cover another number
function freeNumbers(trace) {
  const shares = (name, values) => {
    const isLog = byId("front-log-" + name).checked;
    const scaled = values.map((value) => (isLog ? Math.log(value) : value));
    const low = Math.min(...scaled), range = Math.max(...scaled) - low || 1;
    return scaled.map((value) => (value - low) / range);
  };
  const x = shares("x", trace.x), y = shares("y", trace.y), room = 0.6 * byId("front").clientWidth;
  const taken = [];
  return trace.customdata.map((number, at) => {
    const isFree = !taken.some((other) =>
      Math.abs(x[at] - x[other]) * room < 20 && Math.abs(y[at] - y[other]) * 250 < 14);
    if (isFree) taken.push(at);
    return isFree ? String(number) : "";
  });
}

// what the search did not see, beside the validation accuracy
function testPoints(column, isOnFront) {
  if (column.y !== "accuracy") return [];
  const places = { x: column.x, y: "test_accuracy" };
  const trace = markers("test", isOnFront, places);
  const color = trace.customdata.map((number) => lookOf(number).color);
  return [{ ...trace, marker: { symbol: "x-thin", size: 9, line: { color, width: 1.8 } } }];
}

function knownReferences(column) {
  if (!byId("front-references").checked) return [];
  return view.references.filter((each) => each[column.x] !== undefined);
}

function referenceLines(column) {
  const isLog = byId("front-log-x").checked;
  const known = knownReferences(column);
  return {
    shapes: known.map((each) => dottedLine(each[column.x])),
    annotations: known.map((each) => ({
      x: isLog ? Math.log10(each[column.x]) : each[column.x], xanchor: "right",
      yref: "paper", y: 0.02, yanchor: "bottom", textangle: -90, showarrow: false,
      text: escaped(each.name), font: { color: colours().soft, size: 11 },
    })),
  };
}

// a transparent trace: it extends the axis so that the lines of the references are visible
function referenceRange(column) {
  const x = knownReferences(column).map((each) => each[column.x]);
  const y = view.trials[column.y].find((value) => value !== null);
  return {
    type: "scatter", mode: "markers", marker: { opacity: 0 }, hoverinfo: "skip",
    x, y: x.map(() => y),
  };
}

function frontAxis(name, traces) {
  const column = selectedColumns()[name];
  const isLog = byId("front-log-" + name).checked;
  return axis(column, labelOf(column), isLog, traces.flatMap((trace) => trace[name]));
}

// trials that are not on the front; accuracies of different kinds are not compared
function others(isOnFront, column, marker, type) {
  const how = view.trials.how;
  if (!how) return [markers("dominated", (row) => !isOnFront(row), column, marker, type)];
  const kinds = [...new Set(how.filter(Boolean))];
  const symbols = ["circle", "square-open", "triangle-up-open"];
  const traces = kinds.map((kind, at) => {
    const keep = (row) => !isOnFront(row) && how[row] === kind;
    const own = { ...marker, symbol: symbols[at] };
    return markers(`not on the front (${kind})`, keep, column, own, type);
  });
  return traces.filter((trace) => trace.x.length);
}

function drawFront() {
  const column = selectedColumns(), c = colours(), trials = view.trials;
  const isOnFront = (row) => trials.on_front[row];
  const isSelected = (row) => trials.number[row] === Number(byId("trial").value);
  const dots = { color: c.dimmed, size: 5 };
  const ring = { symbol: "circle-open", color: c.text, size: 18, line: { width: 1.5 } };
  const diamond = { symbol: "diamond-open", color: c.text, size: 16, line: { width: 2 } };
  const type = trials.number.length > MAX_SVG_POINTS ? "scattergl" : "scatter";
  const traces = [
    ...others(isOnFront, column, dots, type),
    ...staircase(column),
    inOwnColours(withIntervals(markers("front", isOnFront, column, { size: 10 }), column.y, c.soft)),
    ...testPoints(column, isOnFront),
    markers("knee", (row) => trials.is_knee[row], column, ring),
    markers("selected trial", isSelected, column, diamond),
    referenceRange(column),
  ];
  const more = { height: 480, ...referenceLines(column) };
  const axes = ["x", "y"].map((name) => frontAxis(name, traces));
  if (column.y === "accuracy") axes[1].title.text = "accuracy"; // on both kinds of images
  return Plotly.react("front", traces, layout(...axes, more), CONFIG);
}

// the card of a trial

function setText(id, text) {
  byId(id).textContent = text;
}

function definition(term, text) {
  const [name, value] = ["dt", "dd"].map((tag) => document.createElement(tag));
  name.textContent = term;
  value.textContent = text;
  const group = document.createElement("div");
  group.append(name, value);
  return group;
}

const searchedColumns = () => Object.keys(view.trials).filter((name) => name.startsWith("space."));
const searchedName = (column) => column.slice("space.".length);

function interval(column, row) {
  const ends = view.intervals[column]?.[view.trials.number[row]];
  return ends ? ` (${ends.map((share) => (100 * share).toFixed(1)).join(" to ")}%)` : "";
}

function definitions(row) {
  const trials = view.trials;
  const spread = view.spreads[trials.number[row]];
  const shown = (column) => formatted(column, trials[column][row]) + interval(column, row);
  const values = view.axes.map(({ column, label }) => [label, shown(column)]);
  if (spread) {
    const [mean, deviation] = spread.map((share) => (100 * share).toFixed(1));
    values.push(["accuracy over seeds", `${mean} ± ${deviation}%`]);
  }
  const searched = searchedColumns().map((name) => [searchedName(name), trials[name][row] ?? "-"]);
  return [...values, ...searched].map(([term, value]) => definition(term, String(value)));
}

function showCard(number) {
  const trials = view.trials;
  const row = trials.number.indexOf(Number(number));
  byId("trial").value = number;
  if (row < 0) {
    setText("card-title", `There is no trial ${number}`);
    setText("card-name", "");
    byId("card-commands").replaceChildren();
    return byId("card-values").replaceChildren();
  }
  const state = (trials.how && trials.how[row]) || trials.state[row];
  const title = [`Trial ${trials.number[row]}: ${state}`];
  if (trials.is_knee[row]) title.push("knee of the front");
  else if (trials.on_front[row]) title.push("on the front");
  setText("card-title", title.join(", "));
  const reason = `; ${trials.outcome[row] || "no reason is recorded"}`;
  setText("card-name", trials.name[row] + (trials.state[row] === "trained" ? "" : reason));
  byId("card-values").replaceChildren(...definitions(row));
  showCommands(number, trials.state[row] === "trained");
  drawCurve(number);
  drawLayers(number);
  drawFront();
}

function showCommands(number, isTrained) {
  const items = isTrained ? view.commands.map((line) => line.replace("{trial}", number)) : [];
  byId("card-commands").replaceChildren(...items.map((line) => {
    const item = document.createElement("li"), code = document.createElement("code");
    code.textContent = line;
    item.append(code);
    return withButton(item);
  }));
}

// a command that breaks between words only, with a button that copies it
function withButton(item) {
  const code = item.querySelector("code");
  const words = code.textContent.split(" ").map((word) => {
    const whole = document.createElement("span");
    whole.textContent = word;
    return [" ", whole];
  });
  code.replaceChildren(...words.flat().slice(1));
  item.append(copyButton());
  return item;
}

// a button that copies the command beside it
function copyButton() {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    const code = button.previousElementSibling;
    const wasCopied = await copied(code);
    button.textContent = wasCopied ? "Copied" : "Selected";
    setTimeout(() => (button.textContent = "Copy"), 2000);
  });
  return button;
}

// the text is selected first: a page from a folder may not use the clipboard, but a user may
async function copied(element) {
  getSelection().selectAllChildren(element);
  try {
    await navigator.clipboard.writeText(element.textContent);
    return true;
  } catch {
    return document.execCommand("copy");
  }
}

function rungLines() {
  return { shapes: view.rungs.slice(0, -1).map(dottedLine) };
}

function curve(number, more) {
  const accuracy = view.curves[number] || [];
  const epochs = accuracy.map((_, at) => at + 1);
  return { type: "scatter", mode: "lines", x: epochs, y: accuracy, ...more };
}

// whole epochs, at most ten of them with a number
function epochAxis(title, curve) {
  const epochs = curve?.length ?? 1, step = Math.ceil(epochs / 10);
  const tickvals = Array.from({ length: Math.floor(epochs / step) }, (_, at) => step * (at + 1));
  return { ...axis(null, title), tickmode: "array", tickvals };
}

function drawCurve(number) {
  const untrained = view.trials.how?.[view.trials.number.indexOf(Number(number))] === "inherited";
  const missing = untrained ? "was not trained by itself" : "has no curve on this page";
  const title = view.curves[number] ? "epoch" : `epoch (this network ${missing})`;
  const trace = curve(number, {
    mode: "lines+markers", line: isMember(number) ? lookOf(number) : { color: colours().front },
    hovertemplate: "epoch %{x}: %{y:.1%}<extra></extra>",
  });
  const axes = [epochAxis(title, view.curves[number]), axis("accuracy", "validation accuracy")];
  if (!view.curves[number]) axes[1].range = [0, 1];
  Plotly.react("card-curve", [trace], layout(...axes, { height: 300, ...rungLines() }), CONFIG);
}

function drawLayers(number) {
  const layers = (view.layers[number] || []).filter(([, flops, bops]) => flops || bops);
  const bar = (name, value, color) => ({
    name, type: "bar", x: layers.map(([layer]) => escaped(layer)), y: layers.map(value), marker: { color },
    hovertemplate: "%{x}: %{y:.3s}<extra>" + name + "</extra>",
  });
  const traces = [
    bar("BOPs / 64", ([, , bops]) => bops / 64, colours().front),
    bar("FLOPs", ([, flops]) => flops, colours().knee),
  ];
  const title = view.layers[number] ? "" : "this page does not include the layers";
  const x = { ...axis(null, title), tickangle: -60, type: "category" };
  const more = { height: 300, barmode: "stack" };
  Plotly.react("card-layers", traces, layout(x, axis(null, "OPs"), more), CONFIG);
}

// the search

function drawProgress() {
  const over = byId("progress-x").value;
  const trace = {
    type: "scatter", mode: "lines", line: { shape: "hv", color: colours().front },
    x: view.progress[over], y: view.progress.hypervolume,
    hovertemplate: "%{y:.4f} after %{x}<extra></extra>",
  };
  const x = axis(null, over === "number" ? "trial" : "trained epochs");
  const y = { ...axis(null, "hypervolume"), rangemode: "tozero" };
  Plotly.react("progress", [trace], layout(x, y, { height: 300 }), CONFIG);
}

function drawCurves() {
  const order = Object.keys(view.curves).sort((a, b) => isMember(a) - isMember(b));
  const member = (number) => ({
    line: { width: 2, ...lookOf(number) },
    hovertemplate: `trial ${number}, epoch %{x}: %{y:.1%}<extra></extra>`,
  });
  const other = { line: { color: colours().dimmed, width: 0.7 }, hoverinfo: "skip" };
  const traces = order.map((number) => curve(number, isMember(number) ? member(number) : other));
  const longest = Object.values(view.curves).reduce((a, b) => (a.length < b.length ? b : a), []);
  const axes = [epochAxis("epoch", longest), axis("accuracy", "validation accuracy")];
  const height = 420, annotations = curveNames(traces, height);
  const more = { height, annotations, ...rungLines() };
  const drawn = layout(...axes, more);
  drawn.margin.r = 60; // for the names
  Plotly.react("curves", traces, drawn, CONFIG);
}

function curveNames(traces, height) {
  const ends = view.members
    .map((number) => [number, view.curves[number]])
    .filter(([, shown]) => shown?.length)
    .map(([number, shown]) => ({
      text: `trial ${number}`, x: shown.length, y: shown[shown.length - 1], color: lookOf(number).color,
    }));
  return ends.length > MAX_NAMED ? [] : namesAtEnds(ends, traces.flatMap((trace) => trace.y), height);
}

// names at the ends of lines, moved apart by pixels where they would overlap
function namesAtEnds(ends, values, height) {
  const range = Math.max(...values) - Math.min(...values) || 1;
  const pixels = (0.8 * height) / range, gap = 14;
  ends.sort((a, b) => a.y - b.y);
  let last = -Infinity;
  const raised = ends.map(({ y }) => (last = Math.max(y * pixels, last + gap)));
  const mean = raised.reduce((sum, place, at) => sum + place - ends[at].y * pixels, 0) / ends.length;
  return ends.map(({ text, x, y, color }, at) => ({
    x, y, text, showarrow: false, xanchor: "left", xshift: 8,
    yshift: raised[at] - mean - y * pixels, font: { color, size: 12 },
  }));
}

// parameters

function drawImportances() {
  const c = colours();
  const bars = (target) => {
    const kept = view.parameters.importances.filter((each) => each.target === target);
    return {
      name: labelOf(target), type: "bar", marker: { color: target === "ops" ? c.knee : c.front },
      x: kept.map((each) => escaped(each.parameter)), y: kept.map((each) => each.share),
      hovertemplate: "%{x}: %{y:.1%}<extra></extra>",
    };
  };
  const x = { ...axis(null, ""), type: "category" };
  const y = { ...axis(null, "importance"), tickformat: ".0%" };
  const traces = [...new Set(view.parameters.importances.map((each) => each.target))].map(bars);
  Plotly.react("importances", traces, layout(x, y, { height: 320 }), CONFIG);
}

function drawDependence() {
  const selected = byId("dependence").value;
  for (const found of view.parameters.dependences) {
    if (found.parameter !== selected) continue;
    const isCategory = typeof found.values[0] !== "number";
    const color = found.target === "ops" ? colours().knee : colours().front;
    const trace = {
      type: "scatter", mode: found.is_continuous ? "lines+markers" : "markers", // no line through
      line: { color }, marker: { color, size: 9 }, // values that do not exist
      x: isCategory ? found.values.map(escaped) : found.values, y: found.mean,
      hovertemplate: `%{x}: %{y:${found.target === "accuracy" ? ".1%" : ".3s"}}<extra></extra>`,
    };
    const x = { ...axis(null, selected), ...(isCategory ? { type: "category" } : {}) };
    if (!isCategory && !found.is_continuous) Object.assign(x, { tickmode: "array", tickvals: found.values });
    const y = axis(found.target, labelOf(found.target));
    Plotly.react("dependence-" + found.target, [trace], layout(x, y, { height: 300 }), CONFIG);
  }
}

function dimension(label, values) {
  if (values.every((value) => value === null || typeof value === "number")) {
    const numbers = values.map((value) => value ?? 0), different = [...new Set(numbers)];
    const ticks = different.length > MAX_NAMED ? {} : { tickvals: different, ticktext: different.map(String) };
    return { label, values: numbers, ...ticks };
  }
  const texts = values.map(String);
  const names = [...new Set(texts)].sort();
  const tickvals = names.map((_, at) => at);
  return { label, values: texts.map((text) => names.indexOf(text)), tickvals, ticktext: names };
}

function drawParallel() {
  const trials = view.trials, trained = trainedRows(() => true);
  const every = Math.ceil(trained.length / MAX_LINES);
  const kept = trained
    .filter((row, at) => trials.on_front[row] || at % every === 0)
    .sort((a, b) => trials.on_front[a] - trials.on_front[b]); // the front is drawn last
  const values = (column) => kept.map((row) => trials[column][row]);
  const seen = trials.how ? "inherited_accuracy" : "accuracy";
  const dimensions = [
    ...searchedColumns().map((column) => dimension(searchedName(column), values(column))),
    { ...dimension("OPs", values("ops")), column: "ops" },
    { ...dimension(trials.how ? "inherited accuracy" : "accuracy", values(seen)), column: seen },
  ];
  const places = dimensions.map((_, at) => at), heights = dimensions.map(scaled);
  const trace = (name, rows, look, more) => ({
    type: "scatter", mode: "lines", name, line: look, showlegend: false, cliponaxis: false, ...more,
    x: rows.flatMap(() => [...places, null]),
    y: rows.flatMap((at) => [...heights.map((height) => height[at]), null]),
  });
  const rows = kept.map((_, at) => at), isOnFront = (at) => trials.on_front[kept[at]];
  const dimmed = { color: colours().dimmed, width: 0.7 };
  const traces = [
    trace("", rows.filter((at) => !isOnFront(at)), dimmed, { hoverinfo: "skip" }),
    ...rows.filter(isOnFront).map((at) => {
      const number = trials.number[kept[at]], text = hoverText(kept[at]);
      const look = { ...lookOf(number), width: 2.2 };
      return trace(`trial ${number}`, [at], look, { hoverinfo: "text", hovertext: text });
    }),
  ];
  const x = {
    ...axis(null, ""), type: "linear", side: "top", showline: false, ticks: "", tickangle: -20,
    tickvals: places, ticktext: dimensions.map(({ label }) => escaped(label)), fixedrange: true,
    range: [-0.2, places.length - 0.4],
  };
  const y = { visible: false, range: [-0.04, 1.04], fixedrange: true };
  const width = Math.max(byId("parallel").parentElement.clientWidth, 110 * dimensions.length);
  const more = {
    height: 420, width, margin: { l: 20, r: 20, t: 70, b: 20 }, annotations: valuesOf(dimensions),
    shapes: places.map((at) => ({
      type: "line", x0: at, x1: at, y0: 0, y1: 1, line: { color: colours().line, width: 1 },
    })),
  };
  Plotly.react("parallel", traces, layout(x, y, more), { displayModeBar: false });
}

// the values of a dimension, from 0 to 1
function scaled({ values }) {
  const low = Math.min(...values), high = Math.max(...values);
  return values.map((value) => (high > low ? (value - low) / (high - low) : 0.5));
}

// beside each axis its different values, or its ends if there are many
function valuesOf(dimensions) {
  return dimensions.flatMap(({ values, tickvals, ticktext, column }, at) => {
    const ends = [Math.min(...values), Math.max(...values)];
    const shown = tickvals || [...new Set(ends)];
    const heights = scaled({ values: [...shown, ...ends] });
    return shown.map((value, tick) => ({
      x: at, y: heights[tick], xanchor: "left", xshift: 4, showarrow: false, font: { size: 11 },
      bgcolor: colours().back, borderpad: 1,
      text: escaped(ticktext ? ticktext[tick] : formatted(column || "", value)),
    }));
  });
}

// the fronts of several runs

const MAX_DIRECT = 5; // more fronts, or longer names, have a legend
const LONGEST_DIRECT = 14;
const SYMBOLS = ["circle", "square", "diamond", "triangle-up", "cross", "x", "star"];

function comparedFront(front) {
  const trials = front.trials, column = selectedColumns(), c = colours();
  const x = trials[column.x], y = trials[column.y], name = escaped(front.name);
  const order = x.map((_, row) => row).sort((a, b) => x[a] - x[b]);
  const palette = OF_TRIALS.map((each) => c[each]), round = Math.floor(front.group / palette.length);
  const color = palette[front.group % palette.length];
  return {
    name: escaped(front.label ?? front.name), showlegend: front.label !== null,
    legendgroup: String(front.group), type: "scatter", mode: "lines+markers",
    line: { shape: "hv", width: 1, color },
    marker: { size: 10, color, symbol: SYMBOLS[(front.group + round) % SYMBOLS.length] },
    x: order.map((row) => x[row]), y: order.map((row) => y[row]),
    text: order.map((row) => `${name}, trial ${trials.number[row]}`),
    hovertemplate: "%{text}<br>%{y:.4g} at %{x:.3s}<extra></extra>",
  };
}

function drawFronts() {
  const traces = view.fronts.map(comparedFront);
  const axes = ["x", "y"].map((name) => frontAxis(name, traces));
  const named = traces.filter((trace) => trace.showlegend && trace.x.length);
  const height = 480, isShort = (trace) => trace.name.length <= LONGEST_DIRECT;
  const isDirect = named.length <= MAX_DIRECT && named.every(isShort);
  const placed = (name, value) => (byId("front-log-" + name).checked ? Math.log10(value) : value);
  const ends = named.map(({ name, x, y, line }) => ({
    text: name, x: placed("x", x[x.length - 1]), y: placed("y", y[y.length - 1]), color: line.color,
  }));
  const values = traces.flatMap((trace) => trace.y.map((value) => placed("y", value)));
  const more = isDirect ? { showlegend: false, annotations: namesAtEnds(ends, values, height) } : {};
  Plotly.react("fronts", traces, layout(...axes, { height, ...more }), CONFIG);
}

// start

function setOptions(id, options, selected) {
  const option = ([value, text]) => new Option(text, value, value === selected, value === selected);
  byId(id).replaceChildren(...options.map(option));
}

// draws the front at once and the other plots one by one, so that the page responds meanwhile
function drawAll() {
  if (view.fronts) return drawFronts();
  showCard(byId("trial").value);
  const rest = [
    ["progress", drawProgress], ["curves", drawCurves], ["importances", drawImportances],
    ["dependence", drawDependence], ["parallel", drawParallel],
  ].filter(([id]) => byId(id)).map(([, draw]) => draw); // the page has the sections with findings
  const next = () => {
    const draw = rest.shift();
    if (!draw) return (document.documentElement.dataset.whole = "yes");
    draw();
    setTimeout(next);
  };
  setTimeout(next);
}

function addListeners() {
  const onChange = (id, listener) => byId(id)?.addEventListener("change", listener);
  for (const id of ["front-x", "front-y", "front-log-x", "front-log-y", "front-references"]) {
    onChange(id, view.fronts ? drawFronts : drawFront);
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  if (view.fronts) return;
  onChange("trial", (event) => showCard(event.target.value));
  onChange("progress-x", drawProgress);
  onChange("dependence", drawDependence);
  for (const button of document.querySelectorAll("button.pick")) {
    button.setAttribute("aria-label", `show trial ${button.dataset.trial}`);
    button.style.setProperty("--own", `var(--${ownVariable(button.dataset.trial)})`);
    button.addEventListener("click", () => {
      openCard(button.dataset.trial);
    });
  }
  addEventListener("hashchange", openAddressed);
  byId("front").on("plotly_click", (event) => {
    const number = event.points[0].customdata;
    if (number !== undefined) showCard(number);
  });
  markContents();
}

// shows the card of a trial, and names the trial in the address
function openCard(number) {
  showCard(number);
  history.replaceState(null, "", `#trial-${number}`);
  byId("card").scrollIntoView({ block: "nearest" });
}

// `#trial-4` in the address opens that trial
function openAddressed() {
  const found = /^#trial-(\d+)$/.exec(location.hash);
  if (found) openCard(found[1]);
}

// marks the section in view in the list of contents
function markContents() {
  const links = [...document.querySelectorAll(".contents a")];
  const sections = links.map((link) => byId(link.hash.slice(1)));
  const mark = () => {
    const passed = sections.filter((each) => each.getBoundingClientRect().top < 120).length;
    const current = Math.max(0, passed - 1);
    links.forEach((link, at) => link.setAttribute("aria-current", String(at === current)));
  };
  addEventListener("scroll", mark, { passive: true });
  mark();
}

async function loadPlotly() {
  const packed = Uint8Array.from(atob(byId("plotly").textContent), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const script = document.createElement("script");
  script.textContent = await new Response(stream).text();
  document.head.append(script);
}

async function start() {
  await loadPlotly();
  const options = view.axes.map((each) => [each.column, each.label]);
  setOptions("front-x", options, view.x);
  setOptions("front-y", options, view.y);
  if (byId("dependence")) {
    const names = new Set(view.parameters.dependences.map((each) => each.parameter));
    setOptions("dependence", [...names].map((name) => [name, name]));
  }
  document.querySelectorAll(".commands li").forEach(withButton);
  drawAll();
  addListeners();
  if (!view.fronts) openAddressed();
  document.documentElement.dataset.drawn = "yes";
}

start();
