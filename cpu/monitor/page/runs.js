/* All runs side by side: curves of the chosen ones over each other, a table, and where their settings differ. */
const overview = {filter: "", sort: "started", chosen: null, rows: new Map(), makeCharts() {}};
const CHOSEN_MOST = 8;

const returnOf = run => run.values["charts/return_mean_100"] ?? run.values["charts/episodic_return"];
const titleOf = run => run.error ? run.name : `${run.env} · ${run.algo}`;

/* At first those of one environment, since returns of several do not compare: the one with the most runs. Then what was ticked. */
function chosenRuns() {
  const ready = data.runs.filter(r => !r.error && r.lines).sort(sorts.started[1]), count = env => ready.filter(r => r.env === env).length;
  if (!overview.chosen && ready.length) {
    const env = ready.reduce((a, b) => count(b.env) > count(a.env) ? b : a).env;
    overview.chosen = new Set(ready.filter(r => r.env === env).slice(0, 6).map(r => r.name));
  }
  if (!overview.chosen) return [];
  return data.runs.filter(r => overview.chosen.has(r.name));
}

function toggleRun(name, on) {
  overview.chosen ??= new Set();
  if (on && overview.chosen.size >= CHOSEN_MOST) overview.chosen.delete([...overview.chosen][0]);
  if (on) overview.chosen.add(name); else overview.chosen.delete(name);
  renderChosen();
}

function colourOf(name) {
  const i = [...overview.chosen ?? []].indexOf(name);
  return i < 0 ? "transparent" : theme.colour(i);
}

const sorts = {
  started: ["newest", (a, b) => b.live - a.live || b.started - a.started],
  name: ["name", (a, b) => a.name.localeCompare(b.name, "en", {numeric: true})],
  return: ["return", (a, b) => (returnOf(b) ?? -Infinity) - (returnOf(a) ?? -Infinity)],
  steps: ["steps", (a, b) => b.step - a.step],
};

function visibleRuns() {
  const words = overview.filter.toLowerCase().split(/\s+/).filter(Boolean);
  return data.runs.filter(r => words.every(w => `${r.name} ${r.env} ${r.algo} ${r.preset} ${r.live ? "live" : "ended"}`.toLowerCase().includes(w))).sort(sorts[overview.sort][1]);
}

/* ---- the table ---- */

function sparkline(values, colour) {
  const box = svg("svg", {viewBox: "0 0 100 28", preserveAspectRatio: "none", class: "spark", "aria-hidden": "true"});
  if (values.length < 2) return box;
  const ys = values.filter(known), low = Math.min(...ys), span = Math.max(...ys) - low || 1;
  const points = values.map((v, i) => known(v) ? `${(i / (values.length - 1) * 100).toFixed(1)},${(25 - (v - low) / span * 22).toFixed(1)}` : null).filter(Boolean);
  const line = svg("polyline", {points: points.join(" ")});
  const area = svg("polygon", {points: `0,28 ${points.join(" ")} 100,28`});
  line.style.stroke = area.style.fill = colour;
  box.append(area, line);
  return box;
}

function progressOf(run) {
  const share = run.steps_planned > 0 ? Math.min(1, run.step / run.steps_planned) : 0;
  const bar = h("i");
  bar.style.width = 100 * share + "%";
  return h("div.progress", {title: `${whole(run.step)} of ${whole(run.steps_planned)} steps`}, h("div.bar", {}, bar), h("span", {}, `${brief(run.step)} / ${brief(run.steps_planned)}`));
}

const statusOf = run => run.error ? ["bad", "unreadable"] : run.live ? ["live", "live"] : ["ended", "ended"];

function rowOf(run) {
  const [kind, word] = statusOf(run), on = Boolean(overview.chosen?.has(run.name));
  const tick = h("input", {type: "checkbox", checked: on, "aria-label": "Show the curve of " + run.name, onchange: e => toggleRun(run.name, e.target.checked)});
  tick.style.setProperty("--tick", colourOf(run.name));
  return h("tr", {"data-run": run.name},
    h("td.pick", {}, tick),
    h("td.who", {}, h("a", {href: "#/run/" + encodeURIComponent(run.name)}, titleOf(run)), h("small", {}, run.name + (run.error ? "" : ` · seed ${run.seed}`))),
    h("td.status", {}, h("span.dot." + kind, {title: run.error || word}, word)),
    h("td.spark-cell", {}, sparkline(run.spark, on ? colourOf(run.name) : theme.get("muted"))),
    h("td.number.return", {}, h("b", {}, run.error ? "–" : brief(returnOf(run))), h("small", {}, "return")),
    h("td.number", {}, brief(run.values["charts/SPS"]), h("small", {}, "steps/s")),
    h("td.steps", {}, run.error ? h("small", {}, run.error) : run.loaded < 1 ? h("small", {}, `reading ${(100 * run.loaded).toFixed(0)} %`) : progressOf(run)),
    h("td.number.when", {title: new Date(run.started * 1000).toLocaleString()}, ago(run.started), h("small", {}, duration(run.seconds))));
}

function renderTable() {
  const body = $("rows");
  if (!body) return;
  const runs = visibleRuns(), focused = document.activeElement?.closest?.("tr")?.dataset.run, inTick = document.activeElement?.matches?.("input[type=checkbox]");
  body.replaceChildren(...runs.map(rowOf));
  const row = focused && [...body.children].find(tr => tr.dataset.run === focused);
  if (row) row.querySelector(inTick ? "input" : "a").focus({preventScroll: true});
  $("count").textContent = `${runs.length} of ${data.runs.length + (data.info.left_out || 0)} runs` + (data.info.left_out ? `, the newest ${data.runs.length} are shown` : "");
}

/* ---- differences ---- */

/* Sections of algorithms: those of others mean nothing to a run. */
const ALGO_SECTIONS = {ppo: ["ppo"], a2c: ["a2c"], a3c: ["a2c"], impala: ["impala"], dqn: ["dqn", "replay"], gorila: ["dqn", "replay"], apex: ["dqn", "replay"], qlearning: ["tabular"], sarsa: ["tabular"]};
const ALL_SECTIONS = new Set(Object.values(ALGO_SECTIONS).flat());
const concerns = (run, key) => { const section = key.split(".")[0]; return !ALL_SECTIONS.has(section) || !ALGO_SECTIONS[run.algo] || ALGO_SECTIONS[run.algo].includes(section); };

async function renderDifferences() {
  const place = $("differences"), runs = chosenRuns();
  if (!place) return;
  const configs = await Promise.all(runs.map(r => configOf(r.name).catch(() => ({options: []}))));
  const values = configs.map(c => new Map(c.options.map(([key, value]) => [key, value])));
  const ignored = new Set(["run.out", "run.monitor", "monitor.port"]);
  const keys = [...new Set(values.flatMap(v => [...v.keys()]))].filter(k => !ignored.has(k) && new Set(values.filter((_, i) => concerns(runs[i], k)).map(v => v.get(k))).size > 1);
  const usual = new Map((configs[0]?.options || []).map(o => [o[0], o]));
  if (!$("differences")) return;
  if (runs.length < 2 || !keys.length) {
    place.replaceChildren(h("p.quiet", {}, runs.length < 2 ? "Tick two or more runs to see where their settings differ." : "The chosen runs have the same settings."));
    return;
  }
  const heads = runs.map(r => {
    const dot = h("i.dot-only");
    dot.style.background = colourOf(r.name);
    return h("th", {title: r.name}, dot, h("span", {}, r.name));
  });
  place.replaceChildren(h("table.diff", {}, h("thead", {}, h("tr", {}, h("th", {}, "setting"), heads)), h("tbody", {}, keys.map(k =>
    h("tr", {}, h("th", {title: usual.get(k)?.[3] || ""}, k), values.map((v, i) => !concerns(runs[i], k) ? h("td.quiet", {}, "·") : h("td" + (v.get(k) === usual.get(k)?.[2] ? ".quiet" : ""), {}, v.get(k) || "–")))))));
}

/* ---- the view ---- */

function linesOf(metric, env) {
  return () => chosenRuns().filter(run => env === undefined || run.env === env).map(run => ({label: run.name, colour: colourOf(run.name), s: data.loaded.get(run.name)?.[metric]}));
}

function renderChosen() {
  overview.makeCharts();
  renderTable();
  renderDifferences();
  keepSeries([...chosenRuns().map(r => r.name), shownRun()].filter(Boolean));
  Promise.all(chosenRuns().map(r => seriesOf(r.name))).then(drawAll, fail);
  drawAll();
}

function showRuns(main) {
  const section = h("section.charts");
  let charts = [], drawn;
  /* Returns and lengths of different environments have no common axis: a chart for each. */
  function makeCharts() {
    const envs = [...new Set(chosenRuns().map(r => r.env))], key = envs.join("\n");
    if (key === drawn) return;
    drawn = key;
    charts.forEach(c => c.close());
    const each = envs.length > 1 ? envs : [undefined], titled = (title, env) => env === undefined ? title : `${title}: ${env}`;
    charts = [...each.map(env => new Chart({title: titled("Return", env), help: "mean return of finished episodes", lines: linesOf("charts/episodic_return", env), wide: true})),
              new Chart({title: "Steps per second", help: "agent steps acted per second", lines: linesOf("charts/SPS")}),
              ...each.map(env => new Chart({title: titled("Episode length", env), help: "agent steps of an episode", lines: linesOf("charts/episodic_length", env)}))];
    section.replaceChildren(...charts.map(c => c.element));
  }
  overview.makeCharts = makeCharts;
  const filter = h("input", {id: "filter", type: "search", placeholder: "filter: cartpole ppo live", value: overview.filter, "aria-label": "Filter runs", oninput: e => { overview.filter = e.target.value; renderTable(); }});
  const sort = h("select", {"aria-label": "Order", onchange: e => { overview.sort = e.target.value; renderTable(); }}, Object.entries(sorts).map(([key, [word]]) => h("option", {value: key, selected: key === overview.sort}, word)));
  makeCharts();
  main.replaceChildren(
    h("div.bar-top", {}, h("h1", {}, "Runs"), h("span.quiet", {id: "count"}), chartControls()),
    section,
    h("div.bar-top", {}, h("h2", {}, "Side by side"), h("div.controls", {}, filter, h("label", {}, "by ", sort))),
    h("div.scroll", {}, h("table.runs", {}, h("tbody", {id: "rows"}))),
    h("h2", {}, "Where their settings differ"),
    h("div.scroll", {id: "differences"}));
  if (!data.runs.length) $("rows").append(h("tr", {}, h("td", {}, h("p.quiet", {}, "No run in this folder yet. `volley train cartpole` makes one; it will appear here."))));
  else renderChosen();
  return {
    changed(what) {
      if (what === "runs") renderChosen();
      if (what === "series") renderTable(), drawAll();
    },
    close() { overview.makeCharts = () => {}, charts.forEach(c => c.close()); },
  };
}
