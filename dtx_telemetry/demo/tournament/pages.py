"""The two pages that ``--serve`` shows."""

import os

from django.utils.html import format_html
from django.utils.safestring import SafeString

from ..story import PATH, SOCKET_PATH, USERNAME

__all__ = ["draft", "login"]

_LOGIN = """<!doctype html>
<meta charset="utf-8">
<title>Draft</title>
<h1>Draft</h1>
<form method="post" action="/login/">
  <input type="hidden" name="csrfmiddlewaretoken" value="{token}">
  <input name="username" value="{username}" aria-label="name">
  <input name="password" value="{password}" type="password" aria-label="password">
  <button>Log in</button>
</form>
"""
_DRAFT = """<!doctype html>
<meta charset="utf-8">
<title>Draft</title>
<h1>Draft</h1>
<button data-token="{token}" data-path="{path}" data-socket="{port}{socket_path}" disabled>Pick Invoker</button>
<p>Each click, and what came back through the task and the WebSocket. Find the id in the lines of the terminal.</p>
<pre></pre>
<script>
  const button = document.querySelector("button"), {{token, path, socket}} = button.dataset;
  const show = text => document.querySelector("pre").append(text + "\\n");
  const watch = new WebSocket(`ws://${{location.hostname}}:${{socket}}`);
  watch.onopen = () => button.disabled = false;
  watch.onmessage = event => show("pushed  " + event.data);
  watch.onclose = () => {{ button.disabled = true; show("the WebSocket is closed"); }};
  button.onclick = async () => {{
    const answer = await fetch(path, {{
      method: "POST", headers: {{"X-CSRFToken": token}}, body: new URLSearchParams({{hero: "Invoker"}})
    }});
    show(`clicked ${{answer.status}}, request.id ${{answer.headers.get("X-Request-ID")}}`);
  }};
</script>
"""


def login(token: str) -> SafeString:
    return format_html(_LOGIN, token=token, username=USERNAME, password=os.environ.get("DTX_DEMO_PASSWORD", ""))


def draft(token: str, port: int) -> SafeString:
    return format_html(_DRAFT, token=token, path=PATH, port=port, socket_path=SOCKET_PATH)
