"use strict";
// Draws what the view holds; computes nothing of its own. Text goes in by textContent or through
// escaped(), since names and reasons may hold anything.

const view = JSON.parse(document.getElementById("view").textContent);
const byId = (id) => document.getElementById(id);
const CONFIG = { displayModeBar: false, responsive: true };
const escaped = (text) => String(text).replace(/[&<>]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;" })[c]);
const isShare = (column) => column.endsWith("accuracy");
const label = (column) => view.axes.find((axis) => axis.column === column).label;
const MOST_DRAWN = 10000; // of points as shapes: WebGL is slow to begin where there is no graphics card
const MOST_LINES = 1000; // of candidates side by side, beside the front
const PREFIXES = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]];

function shown(column, value) {
  if (value === null || value === undefined) return "-";
  if (isShare(column)) return (100 * value).toFixed(1) + "%";
  for (const [factor, prefix] of PREFIXES) if (value >= factor) return (value / factor).toPrecision(3) + " " + prefix;
  return String(Math.abs(value) < 1 ? Number(value.toPrecision(3)) : Math.round(100 * value) / 100);
}

function colours() {
  const style = getComputedStyle(document.documentElement);
  return Object.fromEntries(["text", "back", "soft", "line", "front", "knee", "dimmed", "panel"].map((name) => [name, style.getPropertyValue("--" + name).trim()]));
}

function axis(column, title, log, values) {
  const base = { title: { text: title }, type: log ? "log" : "linear", automargin: true, gridcolor: colours().line, zeroline: false };
  if (column && isShare(column)) return { ...base, tickformat: ".3~%" };
  return log ? { ...base, ...roundTicks(values) } : { ...base, exponentformat: "SI" };
}

// on a logarithmic axis: 20 k, 50 k, 100 k, as many as are read with ease
function roundTicks(values) {
  const known = values.filter((value) => value > 0);
  const [low, high] = known.reduce(([least, most], value) => [Math.min(least, value), Math.max(most, value)], [Infinity, 0]);
  for (const steps of [[1, 1.5, 2, 3, 5, 7], [1, 2, 5], [1, 3], [1]]) {
    const ticks = [];
    for (let power = -4; power < 16; power += 1) for (const step of steps) if (step * 10 ** power >= 0.7 * low && step * 10 ** power <= 1.4 * high) ticks.push(step * 10 ** power);
    if (ticks.length <= 9 || steps.length === 1) return { tickmode: "array", tickvals: ticks, ticktext: ticks.map((tick) => shown("", tick).replace(/\.0+(?= |$)|(?<=\.\d)0+(?= |$)/, "")) };
  }
}

function layout(x, y, more) {
  const c = colours();
  return {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: c.text, size: 13 },
    margin: { l: 60, r: 15, t: 30, b: 50 }, hovermode: "closest", xaxis: x, yaxis: y,
    hoverlabel: { bgcolor: c.panel, bordercolor: c.soft, font: { color: c.text }, align: "left" },
    legend: { orientation: "h", y: -0.22, itemclick: false, itemdoubleclick: false }, ...more,
  };
}

// the front

function rows(keep) {
  const all = view.trials.number.map((_, row) => row);
  return all.filter((row) => view.trials.state[row] === "trained" && keep(row));
}

function points(name, keep, column, marker, type) {
  const { x, y } = column;
  const kept = rows((row) => keep(row) && view.trials[x][row] !== null && view.trials[y][row] !== null);
  const hover = (row) =>
    `<b>trial ${view.trials.number[row]}</b><br>${escaped(view.trials.name[row])}<br>` +
    view.axes.filter((each) => view.trials[each.column][row] !== null)
      .map((each) => `${each.label} ${shown(each.column, view.trials[each.column][row])}`).join("<br>");
  return {
    name, type: type || "scatter", mode: "markers", marker, hoverinfo: "text",
    x: kept.map((row) => view.trials[x][row]), y: kept.map((row) => view.trials[y][row]),
    customdata: kept.map((row) => view.trials.number[row]), text: kept.map(hover),
  };
}

function frontColumns() {
  return { x: byId("front-x").value, y: byId("front-y").value };
}

function staircase(column) {
  const objectives = new Set(view.objectives);
  if (objectives.size !== 2 || !objectives.has(column.x) || column.y !== "accuracy") return [];
  const kept = rows((row) => view.trials.on_front[row]).sort((a, b) => view.trials[column.x][a] - view.trials[column.x][b]);
  return [{
    type: "scatter", mode: "lines", line: { shape: "hv", color: colours().front, width: 1 }, hoverinfo: "skip",
    showlegend: false, x: kept.map((row) => view.trials[column.x][row]), y: kept.map((row) => view.trials[column.y][row]),
  }];
}

function withSpreads(trace, column) {
  if (column.y !== "accuracy" || !Object.keys(view.spreads).length) return trace;
  const deviations = trace.customdata.map((number) => (view.spreads[number] || [0, 0])[1]);
  return { ...trace, error_y: { type: "data", array: deviations, color: colours().front, thickness: 1.2 } };
}

function references(column) {
  if (!byId("front-references").checked) return {};
  const known = view.references.filter((each) => each[column.x] !== undefined);
  const c = colours();
  return {
    shapes: known.map((each) => ({ type: "line", x0: each[column.x], x1: each[column.x], yref: "paper", y0: 0, y1: 1, line: { color: c.soft, dash: "dot", width: 1 } })),
    annotations: known.map((each) => ({
      x: byId("front-log-x").checked ? Math.log10(each[column.x]) : each[column.x], yref: "paper", y: 0.02, yanchor: "bottom",
      text: escaped(each.name), textangle: -90, showarrow: false, xanchor: "right", font: { color: c.soft, size: 11 },
    })),
  };
}

// an unseen trace that makes room for the references
function widened(column) {
  const at = view.references.map((each) => each[column.x]).filter((value) => value !== undefined);
  const any = rows((row) => view.trials[column.y][row] !== null)[0];
  return { type: "scatter", mode: "markers", marker: { opacity: 0 }, hoverinfo: "skip", showlegend: false, x: at, y: at.map(() => view.trials[column.y][any]) };
}

function frontAxis(name, traces) {
  const column = frontColumns()[name];
  return axis(column, label(column), byId("front-log-" + name).checked, traces.flatMap((trace) => trace[name]));
}

function drawFront() {
  const column = frontColumns(), c = colours(), trials = view.trials;
  const isChosen = (row) => trials.number[row] === Number(byId("trial").value);
  const traces = [
    points("dominated", (row) => !trials.on_front[row], column, { color: c.dimmed, size: 6, opacity: 0.55 }, trials.number.length > MOST_DRAWN ? "scattergl" : "scatter"),
    ...staircase(column),
    withSpreads(points("front", (row) => trials.on_front[row], column, { color: c.front, size: 10 }), column),
    points("knee", (row) => trials.is_knee[row], column, { symbol: "circle-open", color: c.knee, size: 18, line: { width: 2.5 } }),
    points("card", isChosen, column, { symbol: "diamond-open", color: c.text, size: 16, line: { width: 2 } }),
  ];
  if (byId("front-references").checked) traces.push(widened(column));
  return Plotly.react("front", traces, layout(frontAxis("x", traces), frontAxis("y", traces), { height: 480, ...references(column) }), CONFIG);
}

// a trial's card

function put(id, text) {
  byId(id).textContent = text;
}

function pair(term, text) {
  const [name, value] = ["dt", "dd"].map((tag) => document.createElement(tag));
  name.textContent = term;
  value.textContent = text;
  const group = document.createElement("div");
  group.append(name, value);
  return group;
}

function showCard(number) {
  const row = view.trials.number.indexOf(Number(number));
  byId("trial").value = number;
  if (row < 0) {
    put("card-title", `There is no trial ${number}`);
    put("card-name", "");
    return byId("card-values").replaceChildren();
  }
  const trials = view.trials;
  const standing = trials.is_knee[row] ? ", the knee of the front" : trials.on_front[row] ? ", on the front" : "";
  put("card-title", `Trial ${trials.number[row]}: ${trials.state[row]}${standing}`);
  put("card-name", trials.state[row] === "trained" ? trials.name[row] : `${trials.name[row]}; ${trials.outcome[row] || "no reason is known"}`);
  const spread = view.spreads[number];
  const values = view.axes.map((each) => pair(each.label, shown(each.column, trials[each.column][row])));
  if (spread) values.push(pair("over seeds", `${(100 * spread[0]).toFixed(1)} ± ${(100 * spread[1]).toFixed(1)}%`));
  const searched = Object.keys(trials).filter((name) => name.startsWith("space."));
  const chosen = searched.map((name) => pair(name.slice(6), trials[name][row] === null ? "-" : String(trials[name][row])));
  byId("card-values").replaceChildren(...values, ...chosen);
  drawCurve(number);
  drawLayers(number);
  drawFront();
}

function rungLines() {
  const inner = view.rungs.slice(0, -1);
  return { shapes: inner.map((epoch) => ({ type: "line", x0: epoch, x1: epoch, yref: "paper", y0: 0, y1: 1, line: { color: colours().soft, dash: "dot", width: 1 } })) };
}

function curve(number, more) {
  const accuracy = view.curves[number] || [];
  return { type: "scatter", mode: "lines", x: accuracy.map((_, at) => at + 1), y: accuracy, ...more };
}

function drawCurve(number) {
  const title = view.curves[number] ? "epoch" : "epoch (its curve is not in this page)";
  const trace = curve(number, { mode: "lines+markers", line: { color: colours().front }, hovertemplate: "epoch %{x}: %{y:.1%}<extra></extra>" });
  Plotly.react("card-curve", [trace], layout(axis(null, title), axis("accuracy", "validation accuracy"), { height: 300, ...rungLines() }), CONFIG);
}

function drawLayers(number) {
  const layers = (view.layers[number] || []).filter((row) => row[1] || row[2]), c = colours();
  const bar = (name, values, color) => ({ name, type: "bar", x: layers.map((row) => row[0]), y: values, marker: { color }, hovertemplate: "%{x}: %{y:.3s}<extra>" + name + "</extra>" });
  const traces = [bar("FLOPs", layers.map((row) => row[1]), c.knee), bar("BOPs / 64", layers.map((row) => row[2] / 64), c.front)];
  const title = view.layers[number] ? "" : "its layers are not in this page";
  const x = { ...axis(null, title), tickangle: -60, type: "category" };
  Plotly.react("card-layers", traces, layout(x, axis(null, "OPs"), { height: 300, barmode: "stack", legend: { orientation: "h", y: 1.15, itemclick: false, itemdoubleclick: false } }), CONFIG);
}

// the search

function drawProgress() {
  const over = byId("progress-x").value, c = colours();
  const trace = { type: "scatter", mode: "lines", line: { shape: "hv", color: c.front }, x: view.progress[over], y: view.progress.hypervolume, hovertemplate: "%{y:.4f} after %{x}<extra></extra>" };
  Plotly.react("progress", [trace], layout(axis(null, over === "number" ? "trial" : "epochs spent"), { ...axis(null, "hypervolume"), rangemode: "tozero" }, { height: 300 }), CONFIG);
}

function drawCurves() {
  const c = colours(), members = new Set(rows((row) => view.trials.on_front[row]).map((row) => String(view.trials.number[row])));
  const order = Object.keys(view.curves).sort((a, b) => members.has(a) - members.has(b));
  const style = (number) => members.has(number)
    ? { name: `trial ${number}`, line: { width: 2 }, hovertemplate: `trial ${number}, epoch %{x}: %{y:.1%}<extra></extra>` }
    : { line: { color: c.dimmed, width: 1 }, opacity: 0.45, showlegend: false, hoverinfo: "skip" };
  const traces = order.map((number) => curve(number, style(number)));
  Plotly.react("curves", traces, layout(axis(null, "epoch"), axis("accuracy", "validation accuracy"), { height: 420, ...rungLines() }), CONFIG);
}

// parameters

function drawImportances() {
  const c = colours(), all = view.parameters.importances;
  const bars = (target, color) => {
    const kept = all.filter((each) => each.target === target);
    return { name: label(target), type: "bar", x: kept.map((each) => each.parameter), y: kept.map((each) => each.mean), marker: { color },
      error_y: { type: "data", array: kept.map((each) => each.deviation), color: c.soft }, hovertemplate: "%{x}: %{y:.2f}<extra></extra>" };
  };
  const traces = Object.keys(view.parameters.explained).map((target) => bars(target, target === "ops" ? c.knee : c.front));
  Plotly.react("importances", traces, layout({ ...axis(null, ""), type: "category" }, axis(null, "importance"), { height: 320, legend: { orientation: "h", y: 1.15, itemclick: false, itemdoubleclick: false } }), CONFIG);
}

function drawDependence() {
  for (const target of ["accuracy", "ops"]) {
    const found = view.parameters.dependences.find((each) => each.target === target && each.parameter === byId("dependence").value);
    if (!found) continue;
    const words = typeof found.values[0] !== "number";
    const trace = { type: "scatter", mode: "lines+markers", x: words ? found.values.map(String) : found.values, y: found.mean, line: { color: colours().front },
      error_y: { type: "data", array: found.deviation, color: colours().soft }, hovertemplate: "%{x}: " + (target === "accuracy" ? "%{y:.1%}" : "%{y:.3s}") + "<extra></extra>" };
    const x = words ? { ...axis(null, found.parameter), type: "category" } : axis(null, found.parameter);
    Plotly.react("dependence-" + target, [trace], layout(x, axis(target, label(target)), { height: 300 }), CONFIG);
  }
}

function dimension(name, values) {
  if (values.every((value) => value === null || typeof value === "number")) return { label: name, values: values.map((value) => value ?? 0) };
  const words = [...new Set(values.map(String))].sort();
  return { label: name, values: values.map((value) => words.indexOf(String(value))), tickvals: words.map((_, at) => at), ticktext: words };
}

function drawParallel() {
  const trials = view.trials, c = colours(), every = Math.ceil(rows(() => true).length / MOST_LINES);
  const kept = rows(() => true).filter((row, at) => trials.on_front[row] || at % every === 0);
  const of = (column) => kept.map((row) => trials[column][row]);
  const searched = Object.keys(trials).filter((name) => name.startsWith("space."));
  const dimensions = [...searched.map((name) => dimension(name.slice(6), of(name))), dimension("OPs", of("ops")), dimension("accuracy", of("accuracy"))];
  const trace = { type: "parcoords", dimensions, line: { color: of("accuracy"), colorscale: "Viridis", showscale: true, colorbar: { title: { text: "accuracy" }, tickformat: ".0%" } }, labelangle: -20, labelfont: { color: c.text }, tickfont: { color: c.text }, rangefont: { color: c.text } };
  const wide = Math.max(byId("parallel").parentElement.clientWidth, 110 * dimensions.length);
  Plotly.react("parallel", [trace], layout({}, {}, { height: 420, width: wide, margin: { l: 70, r: 40, t: 90, b: 30 } }), { displayModeBar: false });
}

// it takes seconds where there is no graphics card
function drawParallelWhenSeen() {
  const watcher = new IntersectionObserver((seen) => {
    if (!seen.some((each) => each.isIntersecting)) return;
    watcher.disconnect();
    drawParallel();
  }, { rootMargin: "300px" });
  watcher.observe(byId("parallel"));
}

// two runs' fronts

function drawFronts() {
  const column = frontColumns(), c = colours();
  const traces = view.fronts.map((front, at) => ({
    name: escaped(front.name), type: "scatter", mode: "lines+markers", line: { shape: "hv", width: 1, color: at ? c.knee : c.front }, marker: { size: 10, symbol: at ? "square" : "circle" },
    x: front.trials[column.x], y: front.trials[column.y], text: front.trials.number.map((number) => `${escaped(front.name)}, trial ${number}`), hovertemplate: "%{text}<br>%{y:.4g} at %{x:.3s}<extra></extra>",
  }));
  Plotly.react("fronts", traces.map(sorted), layout(frontAxis("x", traces), frontAxis("y", traces), { height: 480 }), CONFIG);
}

function sorted(trace) {
  const order = trace.x.map((_, at) => at).sort((a, b) => trace.x[a] - trace.x[b]);
  return { ...trace, x: order.map((at) => trace.x[at]), y: order.map((at) => trace.y[at]), text: order.map((at) => trace.text[at]) };
}

// all of it

function offer(id, options, chosen) {
  byId(id).replaceChildren(...options.map(([value, text]) => new Option(text, value, value === chosen, value === chosen)));
}

// what is on top at once, the rest one after the other, so that the page can be used meanwhile
function drawAll() {
  if (view.fronts) return drawFronts();
  showCard(byId("trial").value);
  const rest = [drawProgress, drawCurves, ...(view.parameters.importances.length ? [drawImportances, drawDependence, drawParallelWhenSeen] : [])];
  const next = () => {
    const draw = rest.shift();
    if (!draw) return (document.documentElement.dataset.whole = "yes");
    draw();
    setTimeout(next);
  };
  setTimeout(next);
}

function listen() {
  const redraw = view.fronts ? drawFronts : drawFront;
  for (const id of ["front-x", "front-y", "front-log-x", "front-log-y", "front-references"]) if (byId(id)) byId(id).addEventListener("change", redraw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  if (view.fronts) return;
  byId("trial").addEventListener("change", (event) => showCard(event.target.value));
  byId("progress-x").addEventListener("change", drawProgress);
  if (byId("dependence")) byId("dependence").addEventListener("change", drawDependence);
  for (const button of document.querySelectorAll("button.pick")) {
    button.setAttribute("aria-label", `card of trial ${button.dataset.trial}`);
    button.addEventListener("click", () => {
      showCard(button.dataset.trial);
      byId("card").scrollIntoView({ block: "nearest" });
    });
  }
  byId("front").on("plotly_click", (event) => {
    const number = event.points[0].customdata;
    if (number !== undefined) showCard(number);
  });
}

async function begin() {
  const packed = Uint8Array.from(atob(byId("plotly").textContent), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const script = document.createElement("script");
  script.textContent = await new Response(stream).text();
  document.head.append(script);
  const options = view.axes.map((each) => [each.column, each.label]);
  offer("front-x", options, view.x);
  offer("front-y", options, view.y);
  if (byId("dependence")) offer("dependence", [...new Set(view.parameters.dependences.map((each) => each.parameter))].map((name) => [name, name]));
  drawAll();
  listen();
  document.documentElement.dataset.drawn = "yes";
}

begin();
