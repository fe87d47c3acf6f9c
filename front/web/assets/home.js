// The front page greets members by name.

import { ask, Problem } from "./api.js";
import { member, sayFlash, showAvatar } from "./page.js";

async function greet() {
  try {
    const { data: user } = await ask("GET", "/api/v1/me");
    const link = document.getElementById("nav-profile");
    link.querySelector("[data-nickname]").textContent = user.nickname;
    showAvatar(link, user);
    link.hidden = false;
    for (const id of ["nav-login", "nav-register", "hero-visitor"]) {
      document.getElementById(id).hidden = true;
    }
    document.getElementById("hero-member").hidden = false;
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    if (problem.status === 401) member.forget();
  }
}

sayFlash();
if (member.likely()) greet();
