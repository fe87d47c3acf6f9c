// The table of a board: its lines, and what changes in them.

import { showAvatar } from "./page.js";

/** Lines in the order of the board, from those known before and a change. */
export function changed(lines, { items, gone }) {
  const byId = new Map(lines.map((line) => [line.user_id, line]));
  for (const id of gone) byId.delete(id);
  for (const line of items) byId.set(line.user_id, line);
  const name = (line) => line.username.toLowerCase();
  return [...byId.values()].sort(
    (one, two) => one.rank - two.rank || (name(one) < name(two) ? -1 : 1),
  );
}

const same = (one, two) =>
  one.rank === two.rank &&
  one.rating === two.rating &&
  one.username === two.username &&
  one.nickname === two.nickname &&
  one.picture === two.picture;

function cell(row, content) {
  const cell = document.createElement("td");
  cell.append(content);
  row.append(cell);
}

function player(line) {
  const whole = document.createElement("div");
  whole.className = "player";
  const avatar = document.createElement("span");
  avatar.className = "avatar tiny";
  avatar.dataset.avatar = "";
  const names = document.createElement("span");
  const nickname = document.createElement("bdi");
  nickname.textContent = line.nickname;
  const username = document.createElement("small");
  username.textContent = `@${line.username}`;
  names.append(nickname, username);
  whole.append(avatar, names);
  showAvatar(whole, line);
  return whole;
}

/** A table that keeps the rows of lines that stay as they are. */
export class Board {
  constructor(table) {
    this.body = table.tBodies[0];
    this.rows = new Map();
    this.lines = [];
  }

  /** Shows these lines; `chosen` is the user to point out, `lively` marks what is new. */
  show(lines, chosen, lively = false) {
    const rows = new Map();
    for (const line of lines) {
      const known = this.rows.get(line.user_id);
      const kept = known && same(known.line, line);
      const row = kept ? known.row : this.row(line);
      row.classList.toggle("moved", lively && !kept);
      row.classList.toggle("chosen", line.user_id === chosen);
      if (line.user_id === chosen) row.setAttribute("aria-current", "true");
      else row.removeAttribute("aria-current");
      rows.set(line.user_id, { row, line });
    }
    this.rows = rows;
    this.lines = lines;
    this.body.replaceChildren(...lines.map((line) => rows.get(line.user_id).row));
  }

  row(line) {
    const row = document.createElement("tr");
    cell(row, line.rank.toLocaleString());
    cell(row, player(line));
    cell(row, line.rating.toLocaleString());
    return row;
  }
}
