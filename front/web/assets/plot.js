// Plots: the distribution of ratings as bars, and a price over time as steps.

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 360;
const HEIGHT = 180;
const FOOT = 22;
const HEAD = 8;
// Labels below the axis at most.
const LABELS = 6;

function add(plot, name, attributes, text) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  plot.append(element);
  return element;
}

/** The buckets from the first with players to the last. */
export function used(buckets) {
  const first = buckets.findIndex((each) => each.players > 0);
  const last = buckets.findLastIndex((each) => each.players > 0);
  return first < 0 ? [] : buckets.slice(first, last + 1);
}

/** Draws buckets, the median and, if known, the bucket of the rating that was looked for. */
export function draw(plot, buckets, median, own) {
  plot.replaceChildren();
  const bars = used(buckets);
  if (bars.length === 0) return;
  const most = Math.max(...bars.map((each) => each.players));
  const step = WIDTH / bars.length;
  const bottom = HEIGHT - FOOT;
  const every = Math.ceil(bars.length / LABELS);
  bars.forEach(({ from, to, players }, at) => {
    // Whoever is there is seen, however few they are.
    const height = players === 0 ? 0 : Math.max(2, ((bottom - HEAD) * players) / most);
    const bar = add(plot, "rect", {
      x: at * step + step * 0.08,
      y: bottom - height,
      width: step * 0.84,
      height,
    });
    if (own >= from && own <= to) bar.setAttribute("class", "own");
    const title = document.createElementNS(SVG, "title");
    title.textContent = `${from} to ${to}: ${players.toLocaleString()}`;
    bar.append(title);
    if (at % every === 0) {
      add(plot, "text", { x: Math.max(16, (at + 0.5) * step), y: HEIGHT - 6 }, from);
    }
  });
  add(plot, "line", { x1: 0, y1: bottom, x2: WIDTH, y2: bottom });
  const [low, high] = [bars[0].from, bars.at(-1).to + 1];
  if (median !== undefined) {
    const x = ((median - low) / (high - low)) * WIDTH;
    add(plot, "line", { class: "median", x1: x, y1: HEAD, x2: x, y2: bottom });
  }
}

/** The same in words. */
export function inWords({ total, buckets, rating }) {
  if (total === 0) return "Nobody is on this board yet.";
  const best = buckets.reduce((most, each) => (each.players > most.players ? each : most));
  const share = Math.round((100 * best.players) / total);
  return (
    `Half of ${total.toLocaleString()} players have ${rating} or less (the dashed line). ` +
    `Most, ${share} %, are between ${best.from} and ${best.to}.`
  );
}

/**
 * Draws a price that stays until it changes: `points` are `{ at, price }` in order, times in
 * milliseconds. The last price is drawn up to `until`; `label` writes a price.
 */
export function drawSteps(plot, points, until, label) {
  plot.replaceChildren();
  if (points.length === 0) return;
  const prices = points.map((each) => each.price);
  const [low, high] = [Math.min(...prices), Math.max(...prices)];
  const begin = points[0].at;
  const span = Math.max(1, until - begin);
  const bottom = HEIGHT - FOOT;
  const x = (at) => (Math.min(Math.max(at - begin, 0) / span, 1) * WIDTH).toFixed(1);
  const y = (price) => {
    const share = high === low ? 0.5 : (price - low) / (high - low);
    return (bottom - 4 - share * (bottom - HEAD - 14)).toFixed(1);
  };
  let path = `M0 ${y(points[0].price)}`;
  for (const { at, price } of points.slice(1)) path += `H${x(at)}V${y(price)}`;
  path += `H${WIDTH}`;
  add(plot, "path", { class: "area", d: `${path}V${bottom}H0Z` });
  add(plot, "path", { class: "steps", d: path });
  add(plot, "line", { x1: 0, y1: bottom, x2: WIDTH, y2: bottom });
  const end = { class: "end", x: WIDTH - 2, y: Math.max(11, y(prices.at(-1)) - 5) };
  add(plot, "text", end, label(prices.at(-1)));
  if (high !== low) add(plot, "text", { class: "start", x: 2, y: HEIGHT - 6 }, label(low));
}
