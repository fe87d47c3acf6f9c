// The page on which an account begins. A new member is logged in right away.

import { ask, Problem } from "./api.js";
import {
  checkNewPassword, checkNickname, checkUsername, leaveFor, member, onSubmit, showReturned,
  wireReveals,
} from "./page.js";

const form = document.getElementById("register");

function check({ username, nickname, password }) {
  return (
    checkUsername(username) ??
    (nickname.trim() ? checkNickname(nickname) : undefined) ??
    checkNewPassword(password)
  );
}

onSubmit(form, "Creating your account…", check, async (values) => {
  const username = values.username.trim();
  const nickname = values.nickname.trim() || undefined;
  const { password } = values;
  const { data: user } = await ask("POST", "/api/v1/users", {
    json: { username, password, nickname },
  });
  try {
    await ask("POST", "/api/v1/login", { json: { username, password } });
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    // The account exists, so repeating the form would only say that the name is taken.
    return leaveFor("/login", `Your account is there. ${problem.message}`);
  }
  member.remember();
  leaveFor("/profile", `Welcome to the Souk, ${user.nickname}.`);
});
wireReveals();
showReturned([form]);
