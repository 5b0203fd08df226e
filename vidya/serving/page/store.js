// Conversations and drafts, kept in this browser: each under a key of its own, so that two tabs
// do not write over one another.

import { document_ } from "./corpus.js";
import { notice } from "./dom.js";

const TALK = "vidya.talk.";
const DRAFT = "vidya.draft.";

export const newId = () =>
	Array.from(crypto.getRandomValues(new Uint8Array(9)), (n) => n.toString(36).padStart(2, "0")).join("");

export const newTalk = () => ({ id: newId(), stamp: "", changed: Date.now(), turns: [] });

function read(key) {
	try {
		return JSON.parse(localStorage.getItem(key));
	} catch {
		return null;
	}
}

function write(key, value) {
	try {
		localStorage.setItem(key, JSON.stringify(value));
		return true;
	} catch {
		notice("This browser has no room left for conversations: export them, and delete some");
		return false;
	}
}

const isTalk = (found) => Array.isArray(found?.turns) && typeof found.id === "string";

export function loadTalk(id) {
	const found = read(TALK + id);
	return isTalk(found) ? found : null;
}

// All conversations, the newest first.
export function allTalks() {
	return Object.keys(localStorage)
		.filter((key) => key.startsWith(TALK))
		.map(read)
		.filter(isTalk)
		.sort((one, other) => other.changed - one.changed);
}

// Saves a conversation; one that another tab has changed meanwhile stays, and this goes on as a copy.
export function saveTalk(talk) {
	const there = loadTalk(talk.id);
	if (there && there.stamp !== talk.stamp) {
		moveDrafts(talk.id, (talk.id = newId()));
		notice("Another tab changed this conversation: here it goes on as a copy");
	}
	talk.stamp = newId();
	talk.changed = Date.now();
	write(TALK + talk.id, talk);
}

// Removes a conversation with its drafts; returns what brings both back.
export function removeTalk(id) {
	const kept = Object.keys(localStorage)
		.filter((key) => key === TALK + id || key.startsWith(`${DRAFT}${id}.`))
		.map((key) => [key, localStorage.getItem(key)]);
	for (const [key] of kept) localStorage.removeItem(key);
	return () => { for (const [key, value] of kept) localStorage.setItem(key, value); };
}

export const isOfTalks = (key) => key === null || key.startsWith(TALK);

export function titleOf(talk) {
	return talk.turns[0]?.text.trim().slice(0, 60) || "New conversation";
}

export const draft = (id, field) => read(`${DRAFT}${id}.${field}`) ?? "";

export function keepDraft(id, field, value) {
	if (value) write(`${DRAFT}${id}.${field}`, value);
	else localStorage.removeItem(`${DRAFT}${id}.${field}`);
}

function moveDrafts(from, to) {
	for (const key of Object.keys(localStorage).filter((one) => one.startsWith(`${DRAFT}${from}.`))) {
		localStorage.setItem(key.replace(from, to), localStorage.getItem(key));
		localStorage.removeItem(key);
	}
}

export const setting = (name, otherwise) => read(`vidya.setting.${name}`) ?? otherwise;
export const keepSetting = (name, value) => write(`vidya.setting.${name}`, value);

// A corpus of all conversations, the oldest first: exchanges up to one without a whole reply.
export function asCorpus() {
	const lines = [];
	for (const talk of allTalks().reverse()) {
		const texts = [];
		for (let at = 0; at + 1 < talk.turns.length; at += 2) {
			const reply = talk.turns[at + 1];
			if (reply.stopped || !reply.text.trim()) break;
			texts.push(talk.turns[at].text, reply.text);
		}
		if (texts.length) lines.push(`${document_(texts)}\n`);
	}
	return lines;
}
