"""The counters in Prometheus's text format."""

from vidya.serving.server_metrics import ServerMetrics


def test_the_text_of_the_counters():
    metrics = ServerMetrics()
    metrics.count_request("/health", 200)
    metrics.count_request("/health", 200)
    metrics.texts["stop"] += 1
    for seconds in (0.02, 0.3, 20):
        metrics.count_first_token(seconds)
    lines = metrics.text(writing=2, waiting=1).splitlines()
    for line in (
        'vidya_requests_total{path="/health",status="200"} 2',
        'vidya_texts_total{end="stop"} 1',
        "vidya_texts_writing 2",
        "vidya_texts_waiting 1",
        "# TYPE vidya_first_token_seconds histogram",
        'vidya_first_token_seconds_bucket{le="0.01"} 0.0',
        'vidya_first_token_seconds_bucket{le="0.025"} 1.0',
        'vidya_first_token_seconds_bucket{le="10.0"} 2.0',
        'vidya_first_token_seconds_bucket{le="+Inf"} 3.0',
        "vidya_first_token_seconds_count 3.0",
    ):
        assert line in lines
