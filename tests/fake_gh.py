"""What ``gh api`` answers from a local state, as the workflows of ours call it.

Started as ``gh``. ``FAKE_GH`` names a folder: ``state.json`` there is GitHub, ``requests.json``
what was asked of it. Rules as of the real one: fields make it a POST where no method is given;
those of a GET go into the query; ``-F`` reads ``@FILE`` and converts numbers, ``-f`` does neither;
``--jq`` sees one page at a time, and there is one page without ``--paginate``.
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import jq

FOLDER = Path(os.environ["FAKE_GH"])
PER_PAGE = 30


def main(arguments: list[str]) -> int:
    assert arguments.pop(0) == "api"
    assert os.environ.get("GH_TOKEN") == "the token of the job", "no token"
    method, filtered, fields = None, None, {}
    paginate = silent = False
    endpoint = None
    while arguments:
        word = arguments.pop(0)
        if word == "--method":
            method = arguments.pop(0)
        elif word == "--jq":
            filtered = arguments.pop(0)
        elif word == "--paginate":
            paginate = True
        elif word == "--silent":
            silent = True
        elif word in ("-f", "-F"):
            name, _, value = arguments.pop(0).partition("=")
            fields[name] = magic(value) if word == "-F" else value
        else:
            assert endpoint is None
            assert not word.startswith("-"), word
            endpoint = word
    method = method or ("POST" if fields else "GET")
    where = urlsplit(endpoint)
    query = dict(parse_qsl(where.query))
    if method == "GET":
        query |= {name: str(value) for name, value in fields.items()}
    log = FOLDER / "requests.json"
    asked = json.loads(log.read_text()) if log.exists() else []
    log.write_text(json.dumps([*asked, [method, where.path, query if method == "GET" else fields]]))
    state = json.loads((FOLDER / "state.json").read_text())
    answer = respond(state, method, where.path, query, fields)
    if isinstance(answer, bytes):
        sys.stdout.buffer.write(answer)
        return 0
    if answer is None:
        sys.stdout.write('{"message": "Not Found", "status": "404"}\n')
        sys.stderr.write("gh: Not Found (HTTP 404)\n")
        return 1
    (FOLDER / "state.json").write_text(json.dumps(state))
    for page in pages(answer, int(query.get("per_page", PER_PAGE)), paginate):
        if filtered is not None:
            for found in jq.compile(filtered).input_value(page):
                sys.stdout.write(f"{found if isinstance(found, str) else json.dumps(found)}\n")
        elif not silent:
            sys.stdout.write(f"{json.dumps(page)}\n")
    return 0


def magic(value: str) -> Any:
    if value.startswith("@"):
        return Path(value[1:]).read_text()
    return int(value) if re.fullmatch(r"-?\d+", value) else value


def pages(answer: Any, size: int, paginate: bool) -> list[Any]:
    if not isinstance(answer, list):
        return [answer]
    assert size <= 100
    cut = [answer[at : at + size] for at in range(0, len(answer), size)] or [[]]
    return cut if paginate else cut[:1]


def respond(state: Any, method: str, path: str, query: Any, fields: Any) -> Any:
    prefix = f"repos/{state['repository']}/"
    assert path.startswith(prefix), path
    match method, path.removeprefix(prefix).split("/"):
        case "GET", ["pulls"]:
            # the real one takes a head in another form for none
            head = query.get("head") if not state.get("ignores_head") else None
            return [
                pull
                for pull in state["pulls"]
                if pull["state"] == query["state"]
                and head in (None, f"{pull['head']['user']['login']}:{pull['head']['ref']}")
            ]
        case "GET", ["actions", "runs", run, "artifacts"]:
            return {"artifacts": state["artifacts"].get(run, [])}
        case "GET", ["actions", "artifacts", artifact, "zip"]:
            return (FOLDER / f"{artifact}.zip").read_bytes()
        case "GET", ["issues", number, "comments"]:
            return state["comments"].setdefault(number, [])
        case "POST", ["issues", number, "comments"]:
            comment = {
                "id": 1000 + sum(map(len, state["comments"].values())),
                "user": {"login": "github-actions[bot]"},
                "body": fields["body"],
            }
            state["comments"].setdefault(number, []).append(comment)
            return comment
        case "PATCH", ["issues", "comments", wanted]:
            for comments in state["comments"].values():
                for comment in comments:
                    if str(comment["id"]) == wanted:
                        comment["body"] = fields["body"]
                        return comment
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
