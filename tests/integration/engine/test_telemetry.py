"""OpenTelemetry gets the metrics of the store, and a span for each commit, if it is installed."""

from __future__ import annotations

import textwrap

from kit.forked import execute

EXPORTED = """
    from opentelemetry import metrics, trace
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    from batchflow import engines
    from batchflow.testing import inline_engine
    from kit.things import Stage, load, things

    reader, exporter = InMemoryMetricReader(), InMemorySpanExporter()
    metrics.set_meter_provider(MeterProvider([reader]))
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)

    def values():
        data = reader.get_metrics_data()
        scopes = data.resource_metrics[0].scope_metrics if data else []
        return {
            (metric.name, point.attributes.get("status"), point.attributes.get("step")): point.value
            for scope in scopes for metric in scope.metrics for point in metric.data.data_points
        }

    def stand_in(run):
        data = reader.get_metrics_data()
        points = [
            point for scope in data.resource_metrics[0].scope_metrics
            for metric in scope.metrics for point in metric.data.data_points
        ]
        seen.append((len(engines()), {point.attributes["store"] for point in points}))
        return Stage.DONE

    seen = []
    with inline_engine(things()) as engine:
        load(engine, 300)
        engine.run(progress=False)
        with engine.rehearse("number BETWEEN 1 AND 7", at="NEW", stand_ins={"finish": stand_in}):
            assert seen == [(1, {engine.path})] * 7, seen
        found = values()
        assert found["batchflow_runs", "DONE", None] == 300, found
        assert found["batchflow_executions_total", None, "finish"] == 300, found
    spans = exporter.get_finished_spans()
    assert {span.name for span in spans} == {"batchflow.commit"}
    assert sum(span.attributes["batchflow.runs"] for span in spans) == 300
    assert len(spans) < 30
"""


def test_metrics_and_commits_are_exported() -> None:
    ended = execute(textwrap.dedent(EXPORTED))
    assert ended.code == 0, ended.output
