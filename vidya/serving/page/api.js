// Requests to the server: with the key if there is one, and errors in one line.

import { byId } from "./dom.js";

const KEY = "vidya.key";

export class ServerError extends Error {
	constructor(message, status = 0, code = null) {
		super(message);
		this.status = status;
		this.code = code;
	}
}

let asking = null;

// Asks for the key once, however many requests want it.
function askForKey() {
	asking ??= new Promise((resolve) => {
		const dialog = byId("key-dialog");
		const given = (event) => {
			event.preventDefault();
			sessionStorage.setItem(KEY, byId("key").value.trim());
			byId("key").value = "";
			dialog.close();
		};
		byId("key-form").addEventListener("submit", given);
		dialog.addEventListener("close", () => {
			byId("key-form").removeEventListener("submit", given);
			asking = null;
			resolve(sessionStorage.getItem(KEY) !== null);
		}, { once: true });
		dialog.showModal();
	});
	return asking;
}

async function respond(path, body, signal, more = {}) {
	const key = sessionStorage.getItem(KEY);
	const headers = key ? { authorization: `Bearer ${key}` } : {};
	if (body !== undefined) headers["content-type"] = "application/json";
	let response;
	try {
		response = await fetch(path, {
			method: body === undefined ? "GET" : "POST",
			headers, signal, body: body === undefined ? undefined : JSON.stringify(body), ...more,
		});
	} catch (error) {
		if (error.name === "AbortError") throw error;
		throw new ServerError("The server does not answer. Is it running?");
	}
	if (response.ok) return response;
	const said = await response.json().then((found) => found.error, () => null);
	if (response.status === 401) {
		if (sessionStorage.getItem(KEY) === key) sessionStorage.removeItem(KEY);
		if (sessionStorage.getItem(KEY) || (await askForKey())) return respond(path, body, signal, more);
	}
	throw new ServerError(said?.message ?? `The server says ${response.status}.`, response.status, said?.code);
}

export const ask = async (path, body, signal) => (await respond(path, body, signal)).json();
export const fetchText = async (path) => (await respond(path)).text();
export const tell = (path, body) => respond(path, body, undefined, { keepalive: true }).catch(() => {});

// The events of a stream, as objects, until [DONE].
export async function* events(path, body, signal) {
	const response = await respond(path, { ...body, stream: true }, signal);
	const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
	let rest = "";
	for (;;) {
		const { done, value } = await reader.read().catch((error) => {
			if (error.name === "AbortError") throw error;
			throw new ServerError("The server has gone in the middle of its answer.");
		});
		if (done) throw new ServerError("The server has gone in the middle of its answer.");
		const parts = (rest + value).split("\n\n");
		rest = parts.pop();
		for (const part of parts) {
			const data = part.replace(/^data: /, "");
			if (data === "[DONE]") return;
			const found = JSON.parse(data);
			if (found.error) throw new ServerError(found.error.message, 500, found.error.code);
			yield found;
		}
	}
}
