// The login page.

import { ask } from "./api.js";
import {
  leaveFor, member, nextPath, onSubmit, sayFlash, showReturned, wireReveals,
} from "./page.js";

const form = document.getElementById("login");

function check({ username, password }) {
  if (!username.trim()) return { field: "username", text: "Type your username." };
  if (!password) return { field: "password", text: "Type your password." };
}

onSubmit(form, "Logging in…", check, async ({ username, password }) => {
  const { data } = await ask("POST", "/api/v1/login", {
    json: { username: username.trim(), password },
  });
  member.remember();
  leaveFor(nextPath(), `Hello, ${data.user.nickname}.`);
});
wireReveals();
sayFlash();
showReturned([form]);
