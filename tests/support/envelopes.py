"""Nine lines of a click, and what platforms make of them, in the shapes that their own tools print."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from .viewer import CLICK, line, task_line

__all__ = ["ENVELOPES", "NINE", "ORIGINS"]

Line = dict[str, Any]
_WEB = {"user__id": 42, "labels": ["tournament", "draft"], "scope__id": "5c09e001"}
_TASK = {**_WEB, "scope__id": "5c09e002", "scope__cause": "5c09e001"}
_SOCKET = {**_WEB, "scope__id": "5c09e003", "scope__cause": "5c09e002", "ws__conn_id": "c1"}
#: As the demo prints them.
NINE: list[Line] = [
    line(5, "draft_seen", note='Größe "日本" \\ {a: 1}', **_WEB),
    line(20, "draft_pick_made", hero="Invoker", nested={"a": {"b": ["{", "}"]}}, **_WEB),
    task_line(50, "task_published", task__queue="celery", **_WEB),
    line(100, "request_completed", http__method="POST", http__status_code=202, duration_ms=100.5, **_WEB),
    task_line(115, "task_started", task__retries=0, task__queue_ms=15, **_TASK),
    task_line(120, "draft_pick_announced", hero="Invoker", **_TASK),
    line(130, "draft_pick_shown", logger="app.consumers", **_SOCKET),
    line(131, "ws_handled", level="debug", ws__message_type="draft.pick", duration_ms=1.5, **_SOCKET),
    task_line(150, "task_completed", duration_ms=35, **_TASK),
]
_STAMP = "2026-01-15T10:23:45.123456789Z"
_ISO = "2026-01-15T10:23:45.123Z"
_EPOCH = 1768472625123
_KUBERNETES = {
    "pod_name": "web-5d9c7",
    "namespace_name": "default",
    "container_name": "app",
    "host": "node-1",
    "labels": {"app": "shop", "pod-template-hash": "5d9c7"},
}


def _text(each: Line) -> str:
    return json.dumps(each, separators=(",", ":"), ensure_ascii=False)


def _lines(make: Callable[[str, Line], str | Line]) -> bytes:
    """Return what *make* makes of the text and the object of each line, one after the other."""
    made = [make(_text(each), each) for each in NINE]
    return "".join(f"{found if isinstance(found, str) else json.dumps(found)}\n" for found in made).encode()


def _document(make: Callable[[Sequence[Line]], Any], indent: int = 2) -> bytes:
    """Return one document of many lines, as tools print for people."""
    return f"{json.dumps(make(NINE), indent=indent)}\n".encode()


def _nested(fields: Line) -> Line:
    """Return *fields* with their points as objects, as Datadog keeps them."""
    made: Line = {}
    for key, value in fields.items():
        *heads, last = key.split(".")
        inner = made
        for head in heads:
            inner = inner.setdefault(head, {})
        inner[last] = value
    return made


#: The bytes of each, by what prints them.
ENVELOPES: dict[str, bytes] = {
    "as they are": _lines(lambda text, _: text),
    "with a mark and Windows' ends": b"\xef\xbb\xbf" + _lines(lambda text, _: f"{text}\r"),
    "UTF-16": b"\xff\xfe" + _lines(lambda text, _: text).decode().encode("utf-16-le"),
    "jq .": b"".join(f"{json.dumps(each, indent=2)}\n".encode() for each in NINE),
    "jq -s .": _document(lambda lines: lines),
    "an array, a line each": b"[\n" + b",\n".join(_text(each).encode() for each in NINE) + b"\n]\n",
    "an array in one line": json.dumps(NINE).encode(),
    "in colour": _lines(lambda text, _: f"\x1b[32m{text}\x1b[0m"),
    "text before that has braces": _lines(lambda text, _: f"INFO {{thread=main}} {{}} {text}"),
    "text behind": _lines(lambda text, _: f"{text} (truncated: no)"),
    # https://docs.docker.com/engine/logging/drivers/json-file/
    "Docker json-file": _lines(lambda text, _: {"log": text + "\n", "stream": "stdout", "time": _STAMP}),
    "docker logs -t": _lines(lambda text, _: f"{_STAMP} {text}"),
    "docker compose logs": _lines(lambda text, _: f"web-1     | {text}"),
    "docker compose logs in colour": _lines(lambda text, _: f"\x1b[36mweb-1     | \x1b[0m{text}"),
    # https://kubernetes.io/docs/concepts/cluster-administration/logging/
    "containerd": _lines(lambda text, _: f"{_STAMP} stdout F {text}"),
    "kubectl logs --prefix": _lines(lambda text, _: f"[pod/web-5d9c7/app] {text}"),
    # https://github.com/stern/stern
    "stern": _lines(lambda text, _: f"web-5d9c7 app {text}"),
    "stern -o json": _lines(
        lambda text, _: {"message": text, "nodeName": "node-1", "podName": "web-5d9c7", "containerName": "app"}
    ),
    "stern -o extjson": _lines(lambda _, fields: {"pod": "web-5d9c7", "container": "app", "message": fields}),
    # man journalctl
    "journalctl": _lines(lambda text, _: f"Jan 15 10:23:45 host-1 web[123]: {text}"),
    "journalctl -o json": _lines(
        lambda text, _: {"_HOSTNAME": "host-1", "__REALTIME_TIMESTAMP": str(_EPOCH * 1000), "PRIORITY": "6", "MESSAGE": text}
    ),
    "journalctl -o json, bytes": _lines(lambda text, _: {"_HOSTNAME": "host-1", "MESSAGE": list(text.encode())}),
    "journalctl -o json-pretty": b"".join(
        json.dumps({"_HOSTNAME": "host-1", "MESSAGE": _text(each)}, indent="\t").encode() + b"\n" for each in NINE
    ),
    # RFC 5424
    "syslog": _lines(lambda text, _: f'<14>1 {_ISO} host-1 web 123 - [id@32473 iut="3"] {text}'),
    # https://grafana.com/docs/loki/latest/query/logcli/
    "logcli": _lines(lambda text, _: f'2026-01-15T10:23:45Z {{app="shop", pod="web-5d9c7", x="{{}}"}} {text}'),
    "logcli -o jsonl": _lines(lambda text, _: {"labels": {"app": "shop"}, "line": text, "timestamp": _STAMP}),
    "Loki's API": json.dumps(
        {
            "status": "success",
            "data": {
                "resultType": "streams",
                "result": [{"stream": {"app": "shop"}, "values": [[f"{_EPOCH}000000", _text(each)] for each in NINE]}],
                "stats": {"summary": {"execTime": 0.01}},
            },
        }
    ).encode(),
    # https://grafana.com/docs/grafana/latest/explore/logs-integration/
    "Grafana's download": _document(
        lambda lines: [
            {"line": _text(each), "timestamp": f"{_EPOCH}000000", "date": _ISO, "fields": {"app": "shop", "filename": "/x"}}
            for each in lines
        ]
    ),
    # https://www.elastic.co/guide/en/beats/filebeat/current/exported-fields.html
    "Filebeat": _lines(
        lambda text, _: {
            "@timestamp": _ISO,
            "log": {"offset": 5, "file": {"path": "/x"}},
            "kubernetes": {"pod": {"name": "web-5d9c7"}, "container": {"name": "app"}},
            "message": text,
        }
    ),
    # https://docs.fluentbit.io/manual/pipeline/filters/kubernetes
    "Fluent Bit": _lines(lambda text, _: {"date": _EPOCH / 1000, "stream": "stdout", "log": text, "kubernetes": _KUBERNETES}),
    "Fluent Bit, merged": _lines(
        lambda text, fields: {"date": _EPOCH / 1000, "log": text, "log_processed": fields, "kubernetes": _KUBERNETES}
    ),
    # https://docs.fluentd.org/output/file
    "Fluentd": _lines(lambda text, _: f"2026-01-15T10:23:45+00:00\tkube.app\t{json.dumps({'log': text})}"),
    # https://vector.dev/docs/reference/configuration/sources/kubernetes_logs/
    "Vector": _lines(
        lambda text, _: {"file": "/x", "kubernetes": _KUBERNETES, "message": text, "source_type": "k", "timestamp": _STAMP}
    ),
    # https://docs.aws.amazon.com/cli/latest/reference/logs/filter-log-events.html
    "aws logs filter-log-events": _document(
        lambda lines: {
            "events": [
                {
                    "logStreamName": "web/app/0123",
                    "timestamp": _EPOCH,
                    "message": _text(each),
                    "ingestionTime": _EPOCH,
                    "eventId": str(number),
                }
                for number, each in enumerate(lines)
            ],
            "searchedLogStreams": [],
        },
        4,
    ),
    "aws logs tail": _lines(lambda text, _: f"2026-01-15T10:23:45.123000+00:00 web/app/0123 {text}"),
    "aws logs get-query-results": _document(
        lambda lines: {
            "results": [
                [{"field": "@timestamp", "value": "2026-01-15 10:23:45.123"}, {"field": "@message", "value": _text(each)}]
                for each in lines
            ],
            "statistics": {"recordsMatched": 9.0},
            "status": "Complete",
        },
        4,
    ),
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/SubscriptionFilters.html
    "CloudWatch's subscriptions": json.dumps(
        {
            "messageType": "DATA_MESSAGE",
            "logGroup": "shop",
            "logStream": "web/app/0123",
            "logEvents": [{"id": str(n), "timestamp": _EPOCH, "message": _text(each)} for n, each in enumerate(NINE)],
        }
    ).encode(),
    # https://cloud.google.com/logging/docs/reference/v2/rest/v2/LogEntry
    "gcloud logging read": _document(
        lambda lines: [
            {
                "insertId": str(number),
                "jsonPayload": each,
                "labels": {"k8s-pod/app": "shop"},
                "resource": {"labels": {"container_name": "app", "pod_name": "web-5d9c7"}, "type": "k8s_container"},
                "severity": "INFO",
                "timestamp": _STAMP,
            }
            for number, each in enumerate(lines)
        ]
    ),
    "gcloud logging read, as text": _document(
        lambda lines: [{"textPayload": _text(each), "severity": "INFO", "timestamp": _STAMP} for each in lines]
    ),
    # https://learn.microsoft.com/azure/azure-monitor/reference/tables/containerlogv2
    "az monitor log-analytics query": _document(
        lambda lines: [
            {"ContainerName": "app", "LogMessage": each, "PodName": "web-5d9c7", "TableName": "x", "TimeGenerated": _ISO}
            for each in lines
        ]
    ),
    "az containerapp logs show": _lines(lambda text, _: {"TimeStamp": _ISO, "Log": text}),
    "Azure's diagnostic settings": json.dumps(
        {"records": [{"time": _ISO, "category": "AppServiceConsoleLogs", "properties": {"log": _text(e)}} for e in NINE]}
    ).encode(),
    # https://www.elastic.co/guide/en/elasticsearch/reference/current/search-search.html
    "Elasticsearch's hits": _document(
        lambda lines: {
            "took": 5,
            "hits": {
                "total": {"value": 9},
                "hits": [{"_index": "logs", "_source": {"@timestamp": _ISO, "message": _text(each)}} for each in lines],
            },
        }
    ),
    "Elasticsearch's hits, parsed": _document(
        lambda lines: {"hits": {"hits": [{"_id": "x", "_source": {"@timestamp": _ISO, **each}} for each in lines]}}
    ),
    # https://docs.datadoghq.com/api/latest/logs/
    "Datadog's API": _document(
        lambda lines: {
            "data": [
                {
                    "id": "x",
                    "type": "log",
                    "attributes": {
                        "service": "shop",
                        "host": "node-1",
                        "status": "info",
                        "timestamp": _ISO,
                        "message": each["event"],
                        "attributes": _nested({key: value for key, value in each.items() if key != "nested"}),
                    },
                }
                for each in lines
            ],
            "meta": {"page": {"after": "x"}},
        }
    ),
    # https://docs.splunk.com/Documentation/Splunk/latest/RESTREF/RESTsearch
    "Splunk's export": _lines(
        lambda text, _: {"preview": False, "offset": 0, "result": {"_raw": text, "_time": _ISO, "host": "node-1"}}
    ),
    "Splunk's collector": _lines(lambda _, fields: {"time": _EPOCH / 1000, "host": "node-1", "source": "x", "event": fields}),
    # https://go2docs.graylog.org/current/getting_in_log_data/gelf.html
    "GELF": _lines(
        lambda text, _: {
            "version": "1.1",
            "host": "node-1",
            "short_message": text,
            "timestamp": _EPOCH / 1000,
            "level": 6,
            "_container_name": "app",
        }
    ),
    # https://devcenter.heroku.com/articles/logging
    "heroku logs": _lines(lambda text, _: f"2026-01-15T10:23:45.123456+00:00 app[web.1]: {text}"),
    # https://fly.io/docs/monitoring/exporting-logs/
    "fly logs": _lines(lambda text, _: f"2026-01-15T10:23:45Z app[1857] ams [info]{text}"),
    "fly logs -j": _lines(
        lambda text, _: {
            "event": {"provider": "app"},
            "fly": {"app": {"instance": "1857", "name": "shop"}, "region": "ams"},
            "host": "node-1",
            "log": {"level": "info"},
            "message": text,
            "timestamp": _ISO,
        }
    ),
    # https://opentelemetry.io/docs/specs/otlp/
    "OTLP in JSON": json.dumps(
        {
            "resourceLogs": [
                {
                    "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]},
                    "scopeLogs": [
                        {"logRecords": [{"timeUnixNano": "1", "body": {"stringValue": _text(each)}} for each in NINE]}
                    ],
                }
            ]
        }
    ).encode(),
}
#: What some of them say of where the lines come from.
ORIGINS: dict[str, Line] = {
    "docker compose logs": {"container": "web-1"},
    "docker compose logs in colour": {"container": "web-1"},
    "kubectl logs --prefix": {"pod": "web-5d9c7", "container": "app"},
    "stern": {"pod": "web-5d9c7", "container": "app"},
    "stern -o json": {"pod": "web-5d9c7", "container": "app", "host": "node-1"},
    "stern -o extjson": {"pod": "web-5d9c7", "container": "app"},
    "journalctl -o json": {"host": "host-1"},
    "logcli": {"service": "shop", "pod": "web-5d9c7"},
    "logcli -o jsonl": {"service": "shop"},
    "Loki's API": {"service": "shop"},
    "Grafana's download": {"service": "shop"},
    "Filebeat": {"pod": "web-5d9c7", "container": "app"},
    "Fluent Bit": {"service": "shop", "pod": "web-5d9c7", "container": "app", "host": "node-1"},
    "Fluent Bit, merged": {"service": "shop", "pod": "web-5d9c7", "container": "app", "host": "node-1"},
    "Vector": {"service": "shop", "pod": "web-5d9c7", "container": "app", "host": "node-1"},
    "aws logs filter-log-events": {"pod": "web/app/0123"},
    "CloudWatch's subscriptions": {"pod": "web/app/0123"},
    "gcloud logging read": {"pod": "web-5d9c7", "container": "app"},
    "az monitor log-analytics query": {"pod": "web-5d9c7", "container": "app"},
    "Datadog's API": {"service": "shop", "host": "node-1"},
    "Splunk's export": {"host": "node-1"},
    "GELF": {"container": "app", "host": "node-1"},
    "fly logs -j": {"host": "node-1"},
}
assert all(each["request.id"] == CLICK for each in NINE)
