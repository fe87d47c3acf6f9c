// The leaderboard: pages, somebody's place, what changes meanwhile, and the distribution.

import { ask, Problem } from "./api.js";
import { Board, changed } from "./board.js";
import { checkUsername, member, onSubmit, say, sayFlash } from "./page.js";
import { draw, inWords } from "./plot.js";

const API = "/api/v1/leaderboard";
// The distribution changes slowly; this often is enough, in milliseconds.
const SPREAD_MS = 30_000;
const RADIUS = 10;

const at = (id) => document.getElementById(id);
const board = new Board(at("board"));
// What is shown: a season or all time, somebody or nobody, the top or another page.
const view = { season: "", user: null, top: true, next: null, previous: null };
let spread = null;
let spreadDue = 0;
let stream = null;
let turn = 0;

/** A path of the API with those parameters that have a value. */
function path(base, parameters) {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries({ season: view.season, ...parameters })) {
    if (value !== null && value !== undefined && value !== "") query.set(key, value);
  }
  const text = query.toString();
  return text ? `${base}?${text}` : base;
}

/** Asks, and drops the answer if something else was asked for meanwhile. */
async function load(what) {
  const mine = ++turn;
  at("trouble").hidden = true;
  at("board").setAttribute("aria-busy", "true");
  try {
    const { data } = await ask("GET", what);
    return mine === turn ? data : null;
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    if (mine === turn) throw problem;
    return null;
  } finally {
    if (mine === turn) at("board").removeAttribute("aria-busy");
  }
}

function showTrouble(problem, again) {
  if (!(problem instanceof Problem)) throw problem;
  const trouble = at("trouble");
  trouble.querySelector("p").textContent = problem.message;
  trouble.querySelector("button").onclick = again;
  trouble.hidden = false;
}

function showTotal(total) {
  at("total").textContent = `${total.toLocaleString()} ${total === 1 ? "player" : "players"}`;
  at("empty").hidden = total > 0;
}

function showStale(ms) {
  at("stale").hidden = !ms;
  if (!ms) return;
  const seconds = Math.max(1, Math.round(ms / 1000));
  at("stale").textContent = `Part of the market is closed. This is how it was ${seconds} s ago.`;
}

function show(page, { top, caption }) {
  Object.assign(view, {
    top,
    next: page.next_cursor ?? null,
    previous: page.previous_cursor ?? null,
  });
  board.show(page.items, view.user?.id);
  showTotal(page.total);
  showStale(page.stale_ms);
  at("caption").textContent = caption;
  at("first").hidden = top;
  at("next").hidden = !view.next;
  at("previous").hidden = !view.previous;
}

async function showPage(cursor, direction) {
  try {
    const page = await load(path(API, { limit: 100, cursor, direction }));
    if (!page) return;
    const [first] = page.items;
    const caption = first ? `From rank ${first.rank.toLocaleString()}` : "The board is empty";
    show(page, { top: !page.previous_cursor, caption });
    if (cursor) say(caption);
  } catch (problem) {
    showTrouble(problem, () => showPage(cursor, direction));
  }
}

/** Shows a user among those around them. */
async function showAround(user) {
  const page = await load(path(`${API}/around/${user.id}`, { radius: RADIUS }));
  if (!page) return;
  view.user = user;
  show(page, { top: false, caption: `Around ${user.nickname}` });
  const { data: rank } = await ask("GET", path(`/api/v1/users/${user.id}/rank`, {}));
  showPlace(rank);
  say(`${user.nickname} has rank ${rank.rank.toLocaleString()}.`);
  listen();
}

function showPlace(rank) {
  const place = at("place");
  place.hidden = rank.rank === null;
  if (place.hidden) return;
  place.querySelector("[data-rank]").textContent = rank.rank.toLocaleString();
  place.querySelector("[data-rating]").textContent = rank.rating.toLocaleString();
  place.querySelector("[data-ties]").textContent = rank.ties.toLocaleString();
  place.querySelector("[data-percentile]").textContent = `${rank.percentile} %`;
  view.rating = rank.rating;
  showSpread();
}

async function loadSpread() {
  try {
    const season = view.season;
    const { data } = await ask("GET", path(`${API}/distribution`, { percentile: 50 }));
    if (season !== view.season) return;
    spread = data;
    showSpread();
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    // The plot is an extra; the board says what is wrong.
  }
}

/** Draws the distribution anew some seconds after a change, however many there are. */
function spreadSoon() {
  spreadDue ||= setTimeout(() => {
    spreadDue = 0;
    loadSpread();
  }, 5000);
}

function showSpread() {
  if (!spread) return;
  draw(at("plot"), spread.buckets, spread.rating, view.rating);
  at("spread-text").textContent = inWords(spread);
}

function showLive(text, paused) {
  const live = at("live");
  live.textContent = text;
  live.classList.toggle("paused", paused);
  live.hidden = false;
}

const TOLD = {
  board(news) {
    showLive("live", false);
    showTotal(news.total);
    showStale(news.stale_ms);
    stream.lines = news.items;
    if (view.top) board.show(news.items, view.user?.id, true);
  },
  delta(news) {
    showTotal(news.total);
    stream.lines = changed(stream.lines, news);
    if (view.top) board.show(stream.lines, view.user?.id, true);
    spreadSoon();
  },
  paused() {
    showLive("paused", true);
  },
  rank: showPlace,
};

/** Listens to the news of the board shown. The browser comes back by itself when it is cut off. */
function listen() {
  stream?.source.close();
  const source = new EventSource(path(`${API}/live`, { user_id: view.user?.id }));
  stream = { source, lines: [] };
  source.onmessage = ({ data }) => {
    const news = JSON.parse(data);
    TOLD[news.type]?.(news);
  };
  source.onerror = () => showLive("paused", true);
}

/** Begins anew with another season. */
async function change() {
  Object.assign(view, { top: true, rating: undefined });
  at("place").hidden = true;
  spread = null;
  const user = view.user;
  view.user = null;
  remember();
  listen();
  loadSpread();
  if (!user) return showPage();
  try {
    await showAround(user);
  } catch (problem) {
    // Who was shown need not be on this board.
    if (!(problem instanceof Problem)) throw problem;
    await showPage();
  }
}

function remember() {
  history.replaceState(null, "", location.pathname + (view.season ? `?season=${view.season}` : ""));
}

async function listSeasons() {
  const select = at("season");
  try {
    const { data } = await ask("GET", "/api/v1/seasons");
    for (const { id, name, ends_at: ends } of data.items) {
      const over = ends && new Date(ends) <= new Date();
      select.append(new Option(over ? `${name} (ended)` : name, id));
    }
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
  }
  const wanted = new URLSearchParams(location.search).get("season") ?? "";
  if ([...select.options].some((option) => option.value === wanted)) select.value = wanted;
  view.season = select.value;
  select.addEventListener("change", () => {
    view.season = select.value;
    change();
  });
}

async function offerMine() {
  if (!member.likely()) return;
  try {
    const { data: me } = await ask("GET", "/api/v1/me");
    const button = at("mine");
    button.hidden = false;
    button.addEventListener("click", async () => {
      try {
        await showAround(me);
      } catch (problem) {
        showTrouble(problem, () => button.click());
      }
    });
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    if (problem.status === 401) member.forget();
  }
}

onSubmit(
  at("find"),
  "Looking…",
  ({ username }) => checkUsername(username),
  async ({ username }) => {
    const name = encodeURIComponent(username.trim());
    const { data: user } = await ask("GET", `/api/v1/users/by-name/${name}`);
    await showAround(user);
  },
);
at("first").addEventListener("click", () => showPage());
at("next").addEventListener("click", () => showPage(view.next, "next"));
at("previous").addEventListener("click", () => showPage(view.previous, "previous"));
setInterval(() => document.hidden || loadSpread(), SPREAD_MS);

sayFlash();
offerMine();
await listSeasons();
await change();
