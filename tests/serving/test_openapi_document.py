"""The description for programs is true to the code that checks requests."""

import json
import re

from support.served import served_model

from vidya.serving import openai_chat, openai_completions
from vidya.serving.openapi_document import openapi_document


class Noting(dict):
    """A request's body that notes which fields are looked at."""

    def __init__(self, *fields):
        super().__init__(*fields)
        self.looked_at = set()

    def get(self, name, default=None):
        self.looked_at.add(name)
        return super().get(name, default)


def test_every_field_that_is_read_is_described_and_no_other():
    message = {"role": "user", "content": "hi"}
    for understand, schema, fields in (
        (openai_chat.chat_request, openai_chat.SCHEMA, {"messages": [message]}),
        (openai_completions.completion_request, openai_completions.SCHEMA, {"prompt": "a"}),
    ):
        body = Noting(fields)
        understand(body, served_model(), 1)
        assert body.looked_at == set(schema["properties"])


def test_the_defaults_that_are_told_are_those_that_count():
    properties = openai_chat.SCHEMA["properties"]
    told = {name: field["default"] for name, field in properties.items() if "default" in field}
    messages = [{"role": "user", "content": "hi"}]
    request = openai_chat.chat_request({"messages": messages, **told}, served_model(), 1)
    bare = openai_chat.chat_request({"messages": messages}, served_model(), 1)
    assert request.jobs[0].sampling == bare.jobs[0].sampling
    assert request.jobs[0].max_tokens == bare.jobs[0].max_tokens == told["max_tokens"]


def test_the_document_is_json_whose_references_are_there():
    document = json.loads(json.dumps(openapi_document()))
    assert document["openapi"] == "3.1.0"
    for reference in re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(document)):
        found = document
        for part in reference.split("/"):
            found = found[part]
    for path, methods in document["paths"].items():
        for method in methods.keys() - {"parameters"}:
            assert "200" in methods[method]["responses"], path
