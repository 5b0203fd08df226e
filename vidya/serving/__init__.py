"""A model over HTTP, for programs that know OpenAI's API: requests, scheduler, replies."""
