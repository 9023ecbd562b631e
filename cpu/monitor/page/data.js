/* What the server knows, kept up to date: the list of runs, the curves that are on the page, and the stream of changes. */
const data = {
  runs: [],             // as /api/runs gives them, the newest first
  info: {frames: []},
  series: new Map(),    // run -> Promise of {name: {step, seconds, mean, min, max, help, last}}
  loaded: new Map(),    // run -> the same, when it is there
  config: new Map(),    // run -> Promise of its settings
  listeners: new Set(), // called with what changed: "runs", "series", "link"
  link: "connecting",   // live, lost
  run(name) { return this.runs.find(r => r.name === name); },
  tell(what) { for (const f of [...this.listeners]) f(what); },
};

async function ask(path) {
  const answer = await fetch(path, {cache: "no-store"});
  if (answer.status === 401) throw new Error("This page needs its token: open the address that `volley monitor` printed.");
  if (!answer.ok) throw new Error((await answer.text()).slice(0, 200));
  return answer.json();
}
const about = (path, run) => `/api/${path}?run=${encodeURIComponent(run)}`;

async function refreshRuns() {
  const info = await ask("/api/runs");
  data.info = info;
  data.runs = info.runs;
  data.tell("runs");
}

function unpack(answer) {
  const out = {};
  for (const [name, s] of Object.entries(answer.series)) {
    const x = answer.x[s.x];
    out[name] = {step: x.step.slice(), seconds: x.seconds.slice(), mean: s.mean, min: s.min || s.mean.slice(), max: s.max || s.mean.slice(), help: s.help, last: s.last, grown: 0};
  }
  return out;
}

/* The curves of a run; asked for once, then kept up to date. */
function seriesOf(run) {
  if (!data.series.has(run)) {
    const points = Math.max(200, Math.min(1000, Math.round(innerWidth / 1.5)));
    const promise = ask(about("series", run) + "&points=" + points).then(answer => {
      data.loaded.set(run, unpack(answer));
      data.tell("series");
    });
    promise.catch(() => data.series.delete(run));
    data.series.set(run, promise);
  }
  return data.series.get(run);
}

function configOf(run) {
  if (!data.config.has(run)) {
    const promise = ask(about("config", run));
    promise.catch(() => data.config.delete(run));
    data.config.set(run, promise);
  }
  return data.config.get(run);
}

/* Curves of runs that are no longer looked at are not kept. */
function keepSeries(names) {
  for (const run of data.series.keys())
    if (!names.includes(run)) data.series.delete(run), data.loaded.delete(run);
}

const GROWN_MOST = 240;

function grow(update) {
  const all = data.loaded.get(update.name);
  if (!all) return;
  for (const [name, value] of Object.entries(update.values)) {
    const s = all[name] || (all[name] = {step: [], seconds: [], mean: [], min: [], max: [], help: "", last: null, grown: 0});
    s.last = value;
    if (!known(value) || s.step[s.step.length - 1] === update.step) continue;
    s.step.push(update.step);
    s.seconds.push(update.seconds);
    for (const list of [s.mean, s.min, s.max]) list.push(value);
    if (++s.grown > GROWN_MOST) { // the server has them thinned out
      data.series.delete(update.name);
      seriesOf(update.name);
      return;
    }
  }
}

/* ---- the stream ---- */

const stream = {source: null, heard: 0, instance: null, changes: null, behind: false};

function setLink(link) {
  if (data.link === link) return;
  data.link = link;
  data.tell("link");
}

/* After a pause nobody knows what was missed: everything is asked for again. */
async function catchUp() {
  const shown = [...data.series.keys()];
  data.series.clear();
  data.config.clear();
  await refreshRuns();
  await Promise.all(shown.filter(name => data.run(name)).map(seriesOf));
}

function hearTick(event) {
  const tick = JSON.parse(event.data);
  stream.heard = Date.now();
  if (stream.changes !== null && tick.changes !== stream.changes) refreshRuns().catch(fail);
  stream.changes = tick.changes;
  for (const update of tick.runs) {
    const run = data.run(update.name);
    if (!run) continue;
    const missed = update.lines > run.lines + 3 && update.seconds > run.seconds + 5; // read by the server meanwhile
    Object.assign(run, {live: update.live, step: update.step, seconds: update.seconds, lines: update.lines, updated: tick.time, loaded: 1});
    Object.assign(run.values, update.values);
    const spark = update.values["charts/episodic_return"] ?? update.values["charts/return_mean_100"];
    if (known(spark)) run.spark = [...run.spark.slice(-119), spark];
    if (missed && data.series.delete(run.name)) seriesOf(run.name).catch(fail);
    else grow(update);
  }
  if (tick.runs.length) data.tell("series");
}

function openStream() {
  stream.source?.close();
  const source = stream.source = new EventSource("/api/events");
  stream.heard = Math.max(stream.heard, Date.now() - 4000);
  source.addEventListener("hello", event => {
    const {instance} = JSON.parse(event.data);
    const again = stream.instance !== null;
    stream.heard = Date.now();
    stream.instance = instance;
    stream.changes = null;
    (again ? catchUp() : Promise.resolve()).then(() => setLink("live"), fail);
  });
  source.addEventListener("tick", hearTick);
  source.onerror = () => setLink("lost");
}

/* The browser tries again by itself unless it was refused; and a connection can be dead without saying so. */
setInterval(() => {
  const silent = Date.now() - stream.heard;
  if (stream.source && (stream.source.readyState === EventSource.CLOSED || silent > 8000) && silent > 4000) {
    setLink("lost");
    stream.heard = Date.now() - 4000;
    openStream();
  }
}, 2000);

function fail(error) {
  if (error instanceof TypeError) setLink("lost"); // fetch: nobody there
  else data.failed = error.message, data.tell("link");
}
