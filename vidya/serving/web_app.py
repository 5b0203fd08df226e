"""The server's paths: which function answers what, and how an error is told."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from vidya.serving import openai_chat, openai_completions
from vidya.serving.api_error import ApiError
from vidya.serving.event_stream import EventStream, event, unless_gone
from vidya.serving.json_body import json_object, read_body
from vidya.serving.openapi_document import openapi_document
from vidya.serving.reply_pieces import ReplyPieces, joined, pieces_of
from vidya.serving.request_guards import Guards, KeyGuard, OuterGuard
from vidya.serving.scheduler import Scheduler
from vidya.serving.served_model import ServedModel
from vidya.serving.server_metrics import CONTENT_TYPE
from vidya.serving.text_request import Answer, TextRequest, usage
from vidya.serving.writing_job import Piece

Understand = Callable[[dict[str, Any], ServedModel, int], TextRequest]


def web_app(
    model: ServedModel, scheduler: Scheduler, guards: Guards, besides: Sequence[Route] = ()
) -> Starlette:
    """The ASGI application; its scheduler delivers to the loop in which it runs.

    Args:
        model: that is served.
        scheduler: which writes.
        guards: who may ask.
        besides: other paths: the page and teaching.
    """
    answers = _Answers(model, scheduler)
    routes = [
        Route("/v1/models", answers.models, methods=["GET"]),
        Route("/v1/models/{model:path}", answers.one_model, methods=["GET"]),
        Route("/v1/chat/completions", answers.chat, methods=["POST"]),
        Route("/v1/completions", answers.completions, methods=["POST"]),
        Route("/health", answers.health, methods=["GET"]),
        Route("/metrics", answers.metrics, methods=["GET"]),
        Route("/openapi.json", answers.openapi, methods=["GET"]),
        *besides,
    ]
    cors = Middleware(
        CORSMiddleware, allow_origins=guards.origins, allow_methods=["GET", "POST"],
        allow_headers=["*"], expose_headers=["retry-after"],
    )  # fmt: skip
    app = Starlette(
        routes=routes,
        middleware=[
            Middleware(
                OuterGuard, guards=guards, refuse=_response, metrics=scheduler.metrics,
                paths=[route.path for route in routes],
            ),
            *([cors] if guards.origins else []),
            Middleware(KeyGuard, guards=guards, refuse=_response),
        ],
        exception_handlers={
            ApiError: _told, HTTPException: _http_told, ClientDisconnect: _gone,
            Exception: _failure_told,
        },
    )  # fmt: skip
    app.router.redirect_slashes = False
    return app


class _Answers:
    """The functions that answer, with what they need."""

    def __init__(self, model: ServedModel, scheduler: Scheduler) -> None:
        self._model = model
        self._scheduler = scheduler

    async def models(self, _: Request) -> Response:
        """`/v1/models`."""
        return JSONResponse({"object": "list", "data": [self._model.described()]})

    async def one_model(self, request: Request) -> Response:
        """`/v1/models/NAME`."""
        name = request.path_params["model"]
        if name != self._model.name:
            raise self._model.not_found(name)
        return JSONResponse(self._model.described())

    async def health(self, _: Request) -> Response:
        """`/health`."""
        well = self._scheduler.is_well
        return JSONResponse({"status": "ok" if well else "failed"}, 200 if well else 503)

    async def metrics(self, _: Request) -> Response:
        """`/metrics`."""
        writing, waiting = self._scheduler.counts()
        text = self._scheduler.metrics.text(writing=writing, waiting=waiting)
        return PlainTextResponse(text, headers={"content-type": CONTENT_TYPE})

    async def openapi(self, _: Request) -> Response:
        """`/openapi.json`."""
        return JSONResponse(openapi_document())

    async def chat(self, request: Request) -> Any:
        """`/v1/chat/completions`."""
        asked = await self._understood(request, openai_chat.chat_request)
        answer = self._answer("chatcmpl")
        if asked.stream:
            return EventStream(self._chat_events(asked, answer))
        texts = await self._whole(asked, request)
        return JSONResponse(
            openai_chat.chat_reply(
                answer, [text.text for text in texts], [text.tokens for text in texts],
                [text.end for text in texts], asked, self._model, _counted(asked, texts),
            )
        )  # fmt: skip

    async def completions(self, request: Request) -> Any:
        """`/v1/completions`."""
        asked = await self._understood(request, openai_completions.completion_request)
        answer = self._answer("cmpl")
        if asked.stream:
            return EventStream(self._completion_events(asked, answer))
        texts = await self._whole(asked, request)
        choices = [
            openai_completions.completion_choice(
                number, text.text, text.tokens, text.end, asked, self._model,
                prompt_scores=text.prompt_scores,
            )
            for number, text in enumerate(texts)
        ]  # fmt: skip
        return JSONResponse(
            openai_completions.completion_object(answer, choices, _counted(asked, texts))
        )

    # ------------------------------------------------------------ parts of an answer

    async def _understood(self, request: Request, understand: Understand) -> TextRequest:
        body = json_object(await read_body(request.stream(), request.headers))
        # long texts take long to become tokens, and other clients do not wait for that
        asked = await asyncio.to_thread(understand, body, self._model, secrets.randbits(63))
        asked.check_size()
        return asked

    def _answer(self, kind: str) -> Answer:
        return Answer(f"{kind}-{secrets.token_hex(12)}", int(time.time()), self._model.name)

    async def _whole(self, asked: TextRequest, request: Request) -> list[Piece]:
        """Every text of a request, whole."""
        with pieces_of(self._scheduler, asked.jobs) as pieces:
            texts = await unless_gone(_all(pieces, len(asked.jobs)), request.receive)
        if texts is None:
            raise ClientDisconnect
        return texts

    async def _chat_events(self, asked: TextRequest, answer: Answer) -> AsyncGenerator[bytes, None]:
        with pieces_of(self._scheduler, asked.jobs) as pieces:
            more = {"usage": None} if asked.include_usage else {}
            drawn = [0] * len(asked.jobs)

            def chunk(number: int, text: str | None, piece: Piece) -> bytes:
                made = openai_chat.chat_chunk(
                    answer, number, text, piece.tokens, piece.end, asked, self._model
                )
                return event({**made, **more})

            for number in range(len(asked.jobs)):
                yield chunk(number, None, Piece())
            while some := await pieces.some():
                for number, piece in some:
                    drawn[number] = max(drawn[number], piece.drawn)
                    ending = Piece(end=piece.end)
                    if piece.text or piece.tokens:
                        yield chunk(number, piece.text, Piece(tokens=piece.tokens))
                    if piece.end:
                        yield chunk(number, "", ending)
            if asked.include_usage:
                counted = usage(asked.prompt_tokens, sum(drawn))
                yield event(openai_chat.chat_usage_chunk(answer, counted))

    async def _completion_events(
        self, asked: TextRequest, answer: Answer
    ) -> AsyncGenerator[bytes, None]:
        with pieces_of(self._scheduler, asked.jobs) as pieces:
            more = {"usage": None} if asked.include_usage else {}
            drawn, begun = [0] * len(asked.jobs), [False] * len(asked.jobs)
            while some := await pieces.some():
                for number, piece in some:
                    drawn[number] = max(drawn[number], piece.drawn)
                    choice = openai_completions.completion_choice(
                        number, piece.text, piece.tokens, piece.end, asked, self._model,
                        prompt_scores=None if begun[number] else piece.prompt_scores,
                    )  # fmt: skip
                    begun[number] = True
                    made = openai_completions.completion_object(answer, [choice], None)
                    yield event({**made, **more})
            if asked.include_usage:
                counted = usage(asked.prompt_tokens, sum(drawn))
                yield event(openai_completions.completion_object(answer, [], counted))


async def _all(pieces: ReplyPieces, count: int) -> list[Piece]:
    found: list[list[Piece]] = [[] for _ in range(count)]
    while some := await pieces.some():
        for number, piece in some:
            found[number].append(piece)
    return [joined(one) for one in found]


def _counted(asked: TextRequest, texts: list[Piece]) -> dict[str, int]:
    return usage(asked.prompt_tokens, sum(text.drawn for text in texts))


# ---------------------------------------------------------------- errors


def _response(error: ApiError) -> JSONResponse:
    return JSONResponse(error.body(), error.status, headers=error.headers)


async def _told(_: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return _response(error)


async def _http_told(request: Request, error: Exception) -> Response:
    """Of a path that there is not, or a method that a path has not."""
    assert isinstance(error, HTTPException)
    what = "there is no such path" if error.status_code == 404 else error.detail.lower()
    said = f"{what}: {request.method} {request.url.path[:80]}"
    return _response(ApiError(error.status_code, said, headers=error.headers))


async def _failure_told(_: Request, error: Exception) -> Response:
    return _response(ApiError(500, f"the server failed: {type(error).__name__}"))


async def _gone(_: Request, error: Exception) -> Response:
    return Response(status_code=499)  # nobody reads it
