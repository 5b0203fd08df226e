// The page: three views behind the names in its address.

import { ask } from "./api.js";
import * as chat from "./chat.js";
import { byId } from "./dom.js";
import * as run from "./run.js";
import * as teach from "./teach.js";

const views = { chat: { enter: chat.focus }, teach, run };
let current = null;

function show() {
	const name = location.hash.slice(1) in views ? location.hash.slice(1) : "chat";
	if (name === current) return;
	if (current) views[current].leave?.();
	current = name;
	for (const one of Object.keys(views)) byId(`${one}-view`).hidden = one !== name;
	for (const link of document.querySelectorAll("nav a")) {
		if (link.hash === `#${name}`) link.setAttribute("aria-current", "page");
		else link.removeAttribute("aria-current");
	}
	document.title = `${name[0].toUpperCase()}${name.slice(1)} · vidya`;
	scrollTo(0, 0);
	views[name].enter();
}

chat.start();
teach.start();
run.start();
addEventListener("hashchange", show);
show();
ask("/v1/models").then(({ data }) => { byId("model").textContent = data[0].id; }, () => {});
