// The chat: a conversation that streams, can be stopped, edited, written anew, and is kept here.

import { events, ServerError } from "./api.js";
import { announce, byId, copy, download, folds, growing, h, isEnter, notice, showError } from "./dom.js";
import * as store from "./store.js";

const OPEN = "vidya.open"; // the conversation of this tab
let talk = store.loadTalk(sessionStorage.getItem(OPEN)) ?? store.newTalk();
let writing = null; // { abort, ended }: the reply that is being written
let editing = null; // number of the turn that is being edited

const list = byId("messages");
const box = growing(byId("message"), (text) => store.keepDraft(talk.id, "message", text));

export function start() {
	byId("composer").addEventListener("submit", (event) => { event.preventDefault(); send(); });
	box.addEventListener("keydown", (event) => {
		if (isEnter(event)) { event.preventDefault(); send(); }
		if (event.key === "ArrowUp" && !box.value) { event.preventDefault(); editLast(); }
	});
	byId("chat-view").addEventListener("keydown", (event) => { if (event.key === "Escape") stop(); });
	byId("stop").addEventListener("click", stop);
	byId("new-talk").addEventListener("click", () => open(store.newTalk()));
	byId("export").addEventListener("click", exportAll);
	folds(byId("talks-toggle"), byId("talks-body"));
	for (const [id, name, otherwise] of [["temperature", "temperature", 0.7], ["max-tokens", "max_tokens", 200]]) {
		byId(id).value = store.setting(name, otherwise);
		byId(id).addEventListener("change", (event) => {
			if (event.target.value && event.target.checkValidity()) store.keepSetting(name, Number(event.target.value));
			else event.target.value = store.setting(name, otherwise);
		});
	}
	addEventListener("storage", (event) => {
		if (!store.isOfTalks(event.key)) return;
		const there = store.loadTalk(talk.id);
		if (!writing && there && there.stamp !== talk.stamp) {
			talk = there;
			showMessages();
		}
		showTalks();
	});
	addEventListener("pagehide", () => { if (writing) keepPart(); });
	open(talk, false);
}

export const focus = () => box.focus();

async function open(other, focused = true) {
	await stop();
	talk = other;
	editing = null;
	const edited = talk.turns.findIndex((turn, at) => store.draft(talk.id, `edit.${at}`));
	if (edited >= 0) editing = edited;
	sessionStorage.setItem(OPEN, talk.id);
	box.value = store.draft(talk.id, "message");
	showError(byId("chat-error"), null);
	showMessages();
	showTalks();
	box.grow();
	scrollTo(0, document.body.scrollHeight);
	if (focused) box.focus();
}

// ---- what is said

async function send() {
	const text = box.value.trim();
	if (!text || writing) return;
	talk.turns.push({ role: "user", text });
	store.saveTalk(talk);
	sessionStorage.setItem(OPEN, talk.id);
	box.value = "";
	store.keepDraft(talk.id, "message", "");
	box.grow();
	await write();
}

// Has the reply written to the last turn, which is the user's.
async function write() {
	const abort = new AbortController();
	const turn = { role: "assistant", text: "", stopped: true };
	const messages = talk.turns.map(({ role, text }) => ({ role, content: text }));
	const mine = talk;
	mine.turns.push(turn);
	let ended;
	writing = { abort, ended: new Promise((resolve) => { ended = resolve; }) };
	showError(byId("chat-error"), null);
	showMessages();
	const shown = list.lastElementChild.querySelector(".text").firstChild;
	scrollTo(0, document.body.scrollHeight);
	let failure = null;
	try {
		const settings = {
			temperature: store.setting("temperature", 0.7), max_tokens: store.setting("max_tokens", 200),
		};
		for await (const event of events("/v1/chat/completions", { messages, ...settings }, abort.signal)) {
			const choice = event.choices[0];
			if (choice?.delta.content) {
				const below = document.body.scrollHeight - innerHeight - scrollY < 80;
				turn.text += choice.delta.content;
				shown.data = turn.text;
				if (below) scrollTo(0, document.body.scrollHeight);
			}
			if (choice?.finish_reason) turn.cut = choice.finish_reason === "length" || undefined;
		}
		delete turn.stopped;
	} catch (error) {
		if (error.name !== "AbortError") failure = error;
		if (!(error instanceof ServerError) && error.name !== "AbortError") console.error(error);
	}
	writing = null;
	if (!turn.text && turn.stopped) mine.turns.pop();
	store.saveTalk(mine);
	sessionStorage.setItem(OPEN, talk.id);
	showMessages();
	showTalks();
	if (failure) showError(byId("chat-error"), failure, again);
	else if (turn.text) announce(`${turn.stopped ? "Stopped" : "Reply"}: ${turn.text}`);
	ended();
}

// What has come of a reply, when the page goes.
function keepPart() {
	if (!talk.turns.at(-1).text) talk.turns.pop();
	store.saveTalk(talk);
}

async function stop() {
	if (!writing) return;
	const { abort, ended } = writing;
	abort.abort();
	await ended;
	box.focus();
}

function again() {
	showError(byId("chat-error"), null);
	if (!writing && talk.turns.at(-1)?.role === "user") write();
}

// ---- what was said, otherwise

// Keeps the conversation as it is, so that a change can be taken back.
function keeping(text) {
	const before = structuredClone(talk.turns);
	const of = talk.id;
	return () => notice(text, async () => {
		await stop();
		if (talk.id !== of) return;
		talk.turns = before;
		store.saveTalk(talk);
		showMessages();
		showTalks();
	});
}

async function regenerate(at) {
	if (writing) return;
	const tell = keeping("Written anew");
	talk.turns.length = at;
	await write();
	tell();
}

function editLast() {
	const at = talk.turns.findLastIndex((turn) => turn.role === "user");
	if (at >= 0 && !writing) edit(at);
}

function edit(at) {
	editing = at;
	showMessages();
}

function endEdit(at) {
	store.keepDraft(talk.id, `edit.${at}`, "");
	editing = null;
	showMessages();
	box.focus();
}

async function resend(at, text) {
	if (!text.trim() || writing) return;
	const tell = keeping("Sent anew");
	store.keepDraft(talk.id, `edit.${at}`, "");
	editing = null;
	talk.turns.length = at;
	talk.turns.push({ role: "user", text: text.trim() });
	store.saveTalk(talk);
	box.focus();
	await write();
	tell();
}

// ---- how it looks

function showMessages() {
	const focused = document.activeElement?.dataset?.act;
	list.replaceChildren(...talk.turns.map(message));
	if (!talk.turns.length) {
		list.append(h("li", { class: "empty" }, "Say something to the model. It runs on this machine; nothing leaves it."));
	}
	byId("send").hidden = writing !== null;
	byId("stop").hidden = writing === null;
	if (editing !== null) {
		const area = list.querySelector(".editing textarea");
		area?.grow();
		area?.focus();
	} else if (focused) {
		(list.querySelector(`[data-act="${focused}"]`) ?? box).focus();
	}
}

function message(turn, at) {
	const last = at === talk.turns.length - 1;
	const whose = turn.role === "user" ? "You" : "The model";
	if (at === editing) return h("li", { class: "message user" }, editor(turn, at));
	const busy = last && writing !== null;
	const act = (name, word, call) =>
		h("button", { class: "word", "data-act": `${name}.${at}`, onclick: call }, word);
	return h("li", { class: `message ${turn.role}${busy ? " writing" : ""}` },
		h("span", { class: "quiet" }, `${whose}:`),
		h("p", { class: "text" }, document.createTextNode(turn.text)),
		turn.stopped && !busy ? h("p", { class: "soft small" }, "stopped") : null,
		turn.cut ? h("p", { class: "soft small" }, "cut off at its longest") : null,
		busy ? null : h("div", { class: "acts" },
			act("copy", "Copy", () => copy(turn.text)),
			turn.role === "user" && !writing ? act("edit", "Edit", () => edit(at)) : null,
			turn.role === "assistant" && last ? act("again", "Write anew", () => regenerate(at)) : null));
}

function editor(turn, at) {
	const field = `edit.${at}`;
	const area = h("textarea", { rows: 1, "aria-label": "Edit your message" });
	area.value = store.draft(talk.id, field) || turn.text;
	area.addEventListener("keydown", (event) => {
		if (isEnter(event)) { event.preventDefault(); resend(at, area.value); }
		if (event.key === "Escape") { event.stopPropagation(); endEdit(at); }
	});
	const form = h("div", { class: "editing" }, area, h("div", { class: "row" },
		h("button", { class: "plain", onclick: () => endEdit(at) }, "Leave it as it was"),
		h("button", { onclick: () => resend(at, area.value) }, "Send anew")));
	growing(area, (text) => store.keepDraft(talk.id, field, text));
	return form;
}

function showTalks() {
	const talks = store.allTalks();
	byId("export").disabled = !talks.length;
	byId("talks").replaceChildren(...talks.map((one) => {
		const title = store.titleOf(one);
		return h("li", {},
			h("button", { class: "open", "aria-current": one.id === talk.id ? "true" : null, onclick: () => open(store.loadTalk(one.id) ?? one) }, title),
			h("button", { class: "word", "aria-label": `Delete ${title}`, onclick: () => remove(one) }, "Delete"));
	}));
}

async function remove(one) {
	if (one.id === talk.id) await stop();
	const bringBack = store.removeTalk(one.id);
	if (one.id === talk.id) await open(store.newTalk());
	showTalks();
	notice("Deleted", () => { bringBack(); open(store.loadTalk(one.id)); });
}

function exportAll() {
	const lines = store.asCorpus();
	if (!lines.length) { notice("There is no whole reply to export yet"); return; }
	download("conversations.txt", lines.join(""));
	notice(`${lines.length} conversation${lines.length === 1 ? "" : "s"} exported: python -m vidya.finetune conversations.txt`);
}
